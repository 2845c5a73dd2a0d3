"""Image files as a served model reads them: what its graph would read otherwise than training did is written anew."""

import collections.abc
import io
import math
import os
import pathlib

import numpy as np

from commands.terminal import printable
from export.limits import MAX_IMAGE_PIXELS
from export.plain_files import MAX_SIDE, is_read_alike
from zoo.datasets.image_files import open_image

_SHRUNK_PIXELS = 1_000_000


def outgoing_file(file, max_pixels=MAX_IMAGE_PIXELS):
    """The bytes to send for an image file; served graphs read from them what training reads from the file.

    Most JPEG and PNG files are sent as they are. Written anew as PNG are GIF, BMP and WEBP, PNG with a palette, with
    16 bits, with a transparent colour or EXIF data, and JPEG and PNG of an unusual structure: see `export.plain_files`. An image
    of more than `max_pixels`, which the graph takes for a broken one, is shrunk, to at most a million.

    Args:
        file: path of the file, or its bytes; no bytes at all are a row to pad with, and stay.
        max_pixels: that the graph decodes.

    Raises:
        ValueError: for a file that cannot be read.
    """
    is_path = isinstance(file, (str, os.PathLike))
    if not is_path and not bytes(file):
        return b""
    image = open_image(file if is_path else bytes(file))  # read to its end: a broken one is named here
    data = pathlib.Path(file).read_bytes() if is_path else bytes(file)
    num_pixels, sides = image.width * image.height, image.size
    fits = num_pixels <= max_pixels and max(sides) <= MAX_SIDE
    if fits and is_read_alike(data):
        return data
    if image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGB")
    if not fits:
        factor = math.ceil(math.sqrt(num_pixels / min(_SHRUNK_PIXELS, max_pixels))) if num_pixels > max_pixels else 1
        image = image.reduce(tuple(min(side, max(factor, -(-side // MAX_SIDE))) for side in sides))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def rows_of_files(files, max_pixels=MAX_IMAGE_PIXELS):
    """Files [T][rows] as they are sent: bytes [T, rows]. Raises ValueError for tasks of different lengths, or a broken file."""
    rows = [[outgoing_file(file, max_pixels) for file in task] for task in files]
    if len({len(task) for task in rows}) > 1:
        raise ValueError(
            'Tasks must have equally many files: pad with b"", of label -1. '
            f"Received: tasks of {[len(task) for task in rows]}"
        )
    array = np.empty((len(rows), len(rows[0]) if rows else 0), dtype=object)
    array[:] = rows
    return array


def labelled_files(support):
    """The files of {name of a class: list of files} one after the other, and the number of the class of each."""
    if not isinstance(support, collections.abc.Mapping) or len(support) < 2:
        raise ValueError(
            "`support` must be {name of a class: list of image files}, of at least 2 classes. "
            f"Received: {printable(support, 100)}"
        )
    files, labels = [], []
    for label, (name, of_class) in enumerate(support.items()):
        of_class = file_list(f"`support[{name!r}]`", of_class)
        if not of_class:
            raise ValueError(f"`support[{name!r}]` must hold at least one image file. Received: none")
        files += of_class
        labels += [label] * len(of_class)
    return files, labels


def file_list(name, files):
    """`files` as a list of paths and bytes. Raises ValueError for anything else."""
    if isinstance(files, (str, bytes, os.PathLike)) or not isinstance(files, collections.abc.Iterable):
        raise ValueError(
            f"{name} must be a list of image files, paths or bytes. Received: {printable(repr(files), 100)}"
        )
    files = list(files)
    for file in files:
        if not isinstance(file, (str, bytes, os.PathLike)) or file == b"":
            raise ValueError(
                f"{name} must hold paths of image files, or their bytes. Received: {printable(repr(file), 100)}"
            )
    return files
