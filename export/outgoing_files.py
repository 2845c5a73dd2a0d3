"""Image files as a served model reads them: what its graph would read otherwise than training did is written anew."""

import io
import math
import os
import pathlib

from PIL import Image

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
