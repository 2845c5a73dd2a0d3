"""Image files as training reads them: one place for the data sets, the clients of a served model and frozen classifiers."""

import io
import os
import pathlib
import threading
import warnings

import numpy as np
from PIL import Image, ImageOps

from zoo.datasets.subsets import all_called_subsets

# What a file may be called, and what it may hold: no format that runs a program or reads other files.
EXTENSIONS = (".png", ".jpg", ".jpeg", ".jfif", ".gif", ".bmp", ".webp")  # .jfif as browsers save a JPEG
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
FITS = ("stretch", "crop", "pad")
_OPENING = threading.Lock()  # filters of warnings are one for all threads
_LEFT_BY_SYSTEMS = ("thumbs.db", "desktop.ini", "__macosx")
_ORIENTATION = 0x0112  # of EXIF
_SIXTEEN_BITS = 257  # 65535 is 255 * 257


def subfolders(folder):
    """The folders in a folder, hidden ones and links to what holds it left out, sorted."""
    around = _around(folder)
    found = (path for path in folder.iterdir() if path.is_dir() and not _is_hidden(path.name))
    return sorted(path for path in found if not (path.is_symlink() and os.path.realpath(path) in around))


def image_files(folder):
    """The image files of a folder, hidden ones left out, sorted."""
    return sorted(path for path in folder.iterdir() if _is_image(path.name) and path.is_file())


def example_folders(folder):
    """The folders in a folder of examples, one per class, sorted.

    Raises:
        ValueError: where they are those of subsets, which hold the class folders.
    """
    found = subfolders(folder)
    if all_called_subsets([path.name for path in found]) and any(subfolders(path) for path in found):
        raise ValueError(
            f"Expected a folder with one folder of pictures per class, such as {found[-1]}. Received: {folder}, with the folders "
            f"of subsets {', '.join(path.name for path in found)}"
        )
    return found


def files_below(folder):
    """(images, other files) of a folder and of the folders in it, hidden ones left out, sorted. Links are followed, but not out
    to what holds the folder, whose other folders are no part of it."""
    images, others, seen = [], [], _around(folder) - {os.path.realpath(folder)}
    for path, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(path)
        # Sorted: of two ways to a folder, the first is taken, on every machine.
        folders[:] = [] if real in seen else sorted(name for name in folders if not _is_hidden(name))
        for name in () if real in seen else names:  # a link to a folder that holds it has no end
            if not _is_hidden(name):
                (images if _is_image(name) else others).append(pathlib.Path(path, name))
        seen.add(real)
    return sorted(images), sorted(others)


def _around(folder):
    """The real paths of a folder and of those that hold it, also by the links that lead to it."""
    path = pathlib.Path(folder).absolute()
    real = pathlib.Path(os.path.realpath(path))
    return {str(real), *map(str, real.parents), *(os.path.realpath(parent) for parent in path.parents)}


def repeated(files):
    """(first, other) for each of these files that is, by links, one that came before."""
    files, first_of = list(files), {}
    for file, place in zip(files, _real_paths(files)):
        first = first_of.setdefault(place, file)
        if first != file:
            yield first, file


def _real_paths(files):
    """Where each of these files lies."""
    folders = {folder: os.path.realpath(folder) for folder in {file.parent for file in files}}
    return [
        os.path.realpath(file) if file.is_symlink() else os.path.join(folders[file.parent], file.name) for file in files
    ]


def _is_image(name):
    return os.path.splitext(name)[1].lower() in EXTENSIONS and not _is_hidden(name)


def _is_hidden(name):
    return name.startswith(".") or name.lower() in _LEFT_BY_SYSTEMS


def open_image(file):
    """The first frame of an image file, upright and of 8 bits: a PIL image, RGBA where parts may be transparent.

    Args:
        file: path of the file, or its bytes.

    Raises:
        ValueError: where it cannot be read to its end as one of FORMATS.
    """
    name = "The file" if isinstance(file, bytes) else os.fspath(file)
    try:
        data = file if isinstance(file, bytes) else pathlib.Path(file).read_bytes()
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}") from error
    if not data:
        raise ValueError(f"{name} cannot be read as an image: it is empty (0 bytes)")
    try:
        with _OPENING, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # of half the pixels that Pillow refuses
            stored = Image.open(io.BytesIO(data), formats=FORMATS)  # its header, no more
        with stored:
            stored.load()
            return upright(stored)
    except Exception as error:  # Pillow's decoders raise whatever a broken file makes them stumble on
        text = str(error).partition(" <_io.BytesIO")[0]  # Pillow names the stream, which says nothing
        raise ValueError(f"{name} cannot be read as an image: {type(error).__name__}: {text}") from error


def upright(image):
    """A PIL image turned as its EXIF data says, of 8 bits: RGBA where parts may be transparent."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        # Pillow would clip 16 bits at 255 instead of scaling them.
        image = Image.fromarray((np.asarray(image, np.uint32) // _SIXTEEN_BITS).astype(np.uint8))
    return image.convert("RGBA") if image.has_transparency_data else image


def read_image(file, height, width, channels, invert, fit="stretch"):
    """An image file as a model takes it: uint8 [height, width, channels].

    Turned as its EXIF data says, transparent parts laid on paper, converted to grey or RGB, brought to the aspect ratio as `fit`
    says, resized with anti-aliasing (Lanczos) and, with `invert`, turned from dark ink on light paper to ink 255 and paper 0.

    Args:
        file: path of the file, or its bytes.
        height, width: int, in pixels.
        channels: 1 (grey) or 3 (RGB).
        invert: whether dark is ink; paper is white then, and black otherwise.
        fit: "stretch" keeps all of the image but not its aspect ratio, "crop" keeps its middle, "pad" all of it, with paper around.

    Raises:
        ValueError: where the file cannot be read.
    """
    return pixels_of(open_image(file), height, width, channels, invert, fit)


def pixels_of(image, height, width, channels, invert, fit="stretch"):
    """`read_image` of a PIL image that `open_image` or `upright` gave."""
    if image.mode == "RGBA":
        paper = Image.new("RGBA", image.size, (255,) * 4 if invert else (0, 0, 0, 255))
        image = Image.alpha_composite(paper, image)
    # Before the resizing: in modes 1 and P Pillow falls back to nearest neighbour whatever is asked for.
    image = image.convert("L" if channels == 1 else "RGB")
    if fit == "crop":
        image = _middle(image, *_bounded_by(image.width, image.height, width, height))
    across, down = _bounded_by(width, height, image.width, image.height) if fit == "pad" else (width, height)
    # Rows first, then columns: in one call Pillow 13 chooses an order by the sizes, and each pass clips at 0 and 255.
    for size in ((across, image.height), (across, down)):
        image = image.resize(size, Image.Resampling.LANCZOS)
    pixels = np.full((height, width, channels), 255 if invert else 0, np.uint8)
    top, left = (height - down) // 2, (width - across) // 2
    pixels[top : top + down, left : left + across] = np.asarray(image).reshape(down, across, channels)
    return 255 - pixels if invert else pixels


def check_fit(fit):
    """Raises ValueError for what `read_image` cannot do."""
    if fit not in FITS:
        raise ValueError(f"`fit` must be one of {FITS}. Received: fit={fit!r}")


def _bounded_by(width, height, ratio_width, ratio_height):
    """The largest size in whole pixels within width and height that has the ratio of the other two."""
    across = min(width, round(height * ratio_width / ratio_height))
    down = min(height, round(width * ratio_height / ratio_width))
    return max(across, 1), max(down, 1)


def _middle(image, across, down):
    left, top = (image.width - across) // 2, (image.height - down) // 2
    return image.crop((left, top, left + across, top + down))


def has_shape(file, height, width, channels):
    """Whether the bytes of an image file, as its header says, are pixels of this shape that `read_image` would not change."""
    with Image.open(io.BytesIO(file), formats=FORMATS) as stored:
        upright = stored.getexif().get(_ORIENTATION, 1) == 1
        return stored.size == (width, height) and stored.mode == ("L" if channels == 1 else "RGB") and upright


def encoding_of(file):
    """Either "jpeg" or "png", by the first bytes of a file; None for others."""
    return "jpeg" if file.startswith(b"\xff\xd8") else "png" if file.startswith(b"\x89PNG") else None
