"""One drawing as files of many formats."""

import io

import numpy as np
from PIL import Image


def colours(height=70, width=60):
    """Strokes of several colours on light paper, without symmetry: uint8 [height, width, 3]."""
    pixels = np.full((height, width, 3), 250, np.uint8)
    pixels[5:60, 8:16] = (20, 30, 160)
    pixels[48:58, 8:50] = (200, 40, 20)
    pixels[12:20, 30:55] = (10, 120, 60)
    return pixels


def saved(image, kind, **options):
    """The bytes of a file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _oriented(image, orientation, kind="JPEG", **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "a camera"
    return saved(image, kind, exif=exif, **options)


def files():
    """{format: bytes} of files that `zoo.datasets.image_folder` reads."""
    pixels = colours()
    rgb = Image.fromarray(pixels)
    grey = rgb.convert("L")
    ink = np.where(pixels.min(axis=-1) < 245, 255, 0).astype(np.uint8)
    black_on_nothing = Image.fromarray(np.dstack([np.zeros_like(pixels), ink]))
    soft = Image.fromarray(np.dstack([pixels, ink // 2 + 60]))
    palette = rgb.quantize(8)
    sixteen = Image.fromarray(np.asarray(grey).astype(np.uint16) * 201)
    frames = [palette, Image.fromarray(255 - pixels).quantize(8)]
    return {
        "PNG, RGB": saved(rgb, "PNG"),
        "PNG, grey": saved(grey, "PNG"),
        "PNG, 1 bit": saved(grey.convert("1"), "PNG"),
        "PNG, 16 bit": saved(sixteen, "PNG"),
        "PNG, palette": saved(palette, "PNG"),
        "PNG, palette with a transparent colour": saved(palette, "PNG", transparency=0),
        "PNG, RGB with a transparent colour": saved(rgb, "PNG", transparency=(250, 250, 250)),
        "PNG, alpha": saved(black_on_nothing, "PNG"),
        "PNG, soft alpha": saved(soft, "PNG"),
        "PNG, grey and alpha": saved(soft.convert("LA"), "PNG"),
        "PNG, EXIF orientation": _oriented(rgb, 6, "PNG"),
        "JPEG, RGB": saved(rgb, "JPEG", quality=90),
        "JPEG, grey": saved(grey, "JPEG", quality=90),
        "JPEG, CMYK": saved(rgb.convert("CMYK"), "JPEG", quality=90),
        "JPEG, progressive": saved(rgb, "JPEG", progressive=True),
        **{f"JPEG, EXIF orientation {value}": _oriented(rgb, value) for value in range(1, 9)},
        "GIF": saved(rgb, "GIF"),
        "GIF, transparent": saved(palette, "GIF", transparency=0),
        "GIF, animated": saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "BMP, RGB": saved(rgb, "BMP"),
        "BMP, grey": saved(grey, "BMP"),
        "BMP, 1 bit": saved(grey.convert("1"), "BMP"),
        "BMP, palette": saved(palette, "BMP"),
        "WEBP": saved(rgb, "WEBP", quality=90),
        "WEBP, alpha": saved(soft, "WEBP", lossless=True),
    }
