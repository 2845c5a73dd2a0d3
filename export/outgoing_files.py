"""Image files as a served model reads them: what its graph would read otherwise than training did is written anew."""

import collections.abc
import io
import math
import os
import pathlib

import numpy as np
from PIL import Image

from commands.terminal import printable
from zoo.datasets.image_files import FORMATS, open_image

MAX_PIXELS = 4_000_000  # larger images are shrunk: a server may take them for broken ones
_SHRUNK_PIXELS = 1_000_000


def outgoing_file(file):
    """The bytes to send for an image file; served graphs read from them what training reads from the file.

    Most JPEG and PNG files are sent as they are. Written anew as PNG are GIF, BMP and WEBP, and PNG with a palette, with
    16 bits, with a transparent colour or EXIF data. An image of more than MAX_PIXELS is shrunk, to at most a million.

    Args:
        file: path of the file, or its bytes; no bytes at all are a row to pad with, and stay.

    Raises:
        ValueError: for a file that cannot be read.
    """
    if isinstance(file, (str, os.PathLike)):
        data = pathlib.Path(file).read_bytes()
    else:
        data = bytes(file)
        if not data:
            return data
    image = open_image(
        file if isinstance(file, (str, os.PathLike)) else data
    )  # read to its end: a broken one is named here
    num_pixels = image.width * image.height
    if num_pixels <= MAX_PIXELS and _is_read_alike(data):
        return data
    if image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGB")
    if num_pixels > MAX_PIXELS:
        image = image.reduce(math.ceil(math.sqrt(num_pixels / _SHRUNK_PIXELS)))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def _is_read_alike(data):
    """Whether a served graph reads a whole file as training does."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as stored:
        if stored.format in ("JPEG", "MPO"):
            return True
        plain = stored.mode in ("L", "LA", "RGB", "RGBA") and "transparency" not in stored.info
        return stored.format == "PNG" and plain and not stored.getexif()


def rows_of_files(files):
    """Files [T][rows] as they are sent: bytes [T, rows]. Raises ValueError for tasks of different lengths, or a broken file."""
    rows = [[outgoing_file(file) for file in task] for task in files]
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
