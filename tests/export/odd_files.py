"""Image files that programs seldom write, impossible ones, and small ones made to take long: {name: bytes}."""

import struct
import zlib

import numpy as np
from PIL import Image

from tests.export.formats import colours, files, saved

FILES = files()
PNG, JPEG, GIF = FILES["PNG, RGB"], FILES["JPEG, RGB"], FILES["GIF"]
_HEADER, _PIXELS, _END = PNG[:33], PNG[33:-12], PNG[-12:]
_FRAME = JPEG.index(b"\xff\xc0")
_GIF_MAP_END = 13 + 3 * 2 ** (GIF[10] % 8 + 1)
_EXIF_6 = b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
_XMP_6 = (
    b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/"><Description tiff:Orientation="6"/></x:xmpmeta>'
)


def chunk(kind, data=b""):
    """A part of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def segment(marker, data=b""):
    """A part of a JPEG."""
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data


def unusual():
    """What Pillow, and so training, reads, and the served graph otherwise or not at all."""
    rgb = Image.fromarray(colours())
    cmyk = FILES["JPEG, CMYK"]
    adobe = cmyk.index(b"\xff\xee")
    return {
        "PNG without an end": PNG[:-12],
        "PNG with an unknown critical part": _HEADER + chunk(b"ABCD", b"x") + _PIXELS + _END,
        "PNG with two headers": _HEADER + _HEADER[8:] + _PIXELS + _END,
        "PNG of 70,000 columns": saved(Image.fromarray(np.tile(colours()[:5, :50], (1, 1400, 1))), "PNG"),
        "JPEG, CMYK without Adobe's mark": cmyk[:adobe] + cmyk[adobe + 16 :],
        "JPEG, EXIF data after 66 kB": JPEG[:2] + 2 * segment(0xE2, bytes(33000)) + segment(0xE1, _EXIF_6) + JPEG[2:],
        "JPEG, EXIF data after 20 segments": JPEG[:2] + 20 * segment(0xE2) + segment(0xE1, _EXIF_6) + JPEG[2:],
        "JPEG, EXIF data after its tables": JPEG[:_FRAME] + segment(0xE1, _EXIF_6) + JPEG[_FRAME:],
        "JPEG, orientation in XMP alone": JPEG[:2] + segment(0xE1, _XMP_6) + JPEG[2:],
        "JPEG of many scans": _progressive(rgb, 80),
    }


def impossible():
    """What no decoder reads, and what its structure tells: these failed the requests that were merged with them."""
    palette = FILES["PNG, palette"]
    start = palette.index(b"PLTE") - 4
    end = start + 12 + int.from_bytes(palette[start : start + 4], "big")
    frame = JPEG[_FRAME : _FRAME + 19]
    image = GIF.index(b"\x2c", _GIF_MAP_END)
    return {
        "PNG with an unknown critical part": unusual()["PNG with an unknown critical part"],
        "PNG with a part of no letters": _HEADER + chunk(b"12!?") + _PIXELS + _END,
        "PNG with two headers": unusual()["PNG with two headers"],
        "PNG with two palettes": palette[:end] + palette[start:end] + palette[end:],
        "PNG with a palette after its pixels": palette[:start] + palette[end:-12] + palette[start:end] + _END,
        "PNG with half a colour": palette[:start] + chunk(b"PLTE", b"ab") + palette[end:],
        "JPEG of two frames": JPEG[:_FRAME] + frame + JPEG[_FRAME:],
        "JPEG of a frame without loss": JPEG[:_FRAME] + frame.replace(b"\xc0", b"\xc3", 1) + JPEG[_FRAME:],
        "JPEG of no sampling": JPEG[: _FRAME + 11] + b"\0" + JPEG[_FRAME + 12 :],
        "JPEG with an unknown segment": JPEG[:2] + segment(0x02) + JPEG[2:],
        "JPEG of a scan of nothing": JPEG.replace(b"\xff\xda\0\x0c\3", b"\xff\xda\0\x0c\0"),
        "GIF without colours": GIF[:10] + bytes([GIF[10] & 0x7F]) + GIF[11:13] + GIF[_GIF_MAP_END:],
        "GIF of codes of 13 bits": GIF[: image + 10] + b"\x0d" + GIF[image + 11 :],
    }


def slow():
    """Less than 500 kB each, that took from 1 to 9 seconds."""
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(7_900_000), 9))
    image = GIF.index(b"\x2c", _GIF_MAP_END)
    frame = b"\x2c" + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\2\2\x4c\1\0"
    return {
        "PNG of 9,000 parts": _HEADER + 9000 * chunk(b"prVt") + _PIXELS + _END,
        "PNG of 50 texts of 8 MB": _HEADER + 50 * text + _PIXELS + _END,
        "JPEG of 100 scans": _progressive(Image.new("L", (2000, 2000), 128), 100),
        "GIF of 39,000 parts": GIF[:image] + b"\x21\xfe" + 39_000 * b"\x01a" + b"\0" + GIF[image:],
        "GIF of 10,000 frames": GIF[:-1] + 10_000 * frame + b";",
    }


def _progressive(image, num_scans):
    """A progressive JPEG whose last scan stands there many times."""
    data = saved(image, "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + num_scans * last + data[-2:]
