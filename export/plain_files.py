"""Whether a served graph reads an image file as training does, told from its structure as the graph tells it.

The counterpart of `export.image_header` and `export.exif`, without TensorFlow: what it takes for unusual, clients write anew.
"""

import io

from PIL import Image

from zoo.datasets.image_files import FORMATS

# What the graph takes too.
MAX_SIDE = 65_500  # libjpeg's; a file of another format with longer sides is not decoded either
MAX_TEXTS = 16  # packed ones of a PNG; a text is unpacked to at most 8 MB
MAX_SCANS = 64  # of a JPEG; each scan of a progressive one passes over all of its pixels
MAX_EXIF_BYTES, MAX_EXIF_SEGMENTS = 1 << 16, 16  # that are searched for EXIF data; that may stand before them
ORIENTATION_TAG = 0x0112  # of EXIF data

_PNG_MODES = ("L", "LA", "RGB", "RGBA")
_MAX_CHUNKS = 1_000  # the graph takes more: here a file is only written anew


def is_read_alike(data):
    """Whether a graph reads the bytes of a whole image file, of any format that Pillow reads, as training does."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as stored:
        if stored.format in ("JPEG", "MPO"):
            # Without Adobe's mark the decoders disagree which way round the inks are.
            mixed = stored.mode == "CMYK" and "adobe" not in stored.info
            return not mixed and _is_plain_jpeg(data, stored)
        plain = stored.mode in _PNG_MODES and "transparency" not in stored.info
        return stored.format == "PNG" and plain and not stored.getexif() and _is_plain_png(data)


def _is_plain_png(data):
    """Whether it is a header, pixels and an end, with nothing but notes between them."""
    kinds, position = [], 8
    while position + 12 <= len(data) and b"IEND" not in kinds:
        kinds.append(data[position + 4 : position + 8])
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    known = all(kind[:1].islower() or kind in (b"IHDR", b"IDAT", b"IEND") for kind in kinds)
    few = len(kinds) <= _MAX_CHUNKS and kinds.count(b"zTXt") + kinds.count(b"iTXt") <= MAX_TEXTS
    return known and few and kinds.count(b"IHDR") == 1 and kinds[-1] == b"IEND" and position <= len(data)


def _is_plain_jpeg(data, stored):
    """Whether it has one frame, sequential or progressive, few scans, and its orientation where the graph looks for it."""
    segments = _jpeg_segments(data)
    # Of the markers from 0xC0 to 0xCF, tables of Huffman codes alone are no frame.
    frames = [marker for marker, _, _ in segments if 0xC0 <= marker <= 0xCF and marker != 0xC4]
    if len(frames) != 1 or frames[0] > 0xC2 or data.count(b"\xff\xda") > MAX_SCANS:
        return False
    orientation = stored.getexif().get(ORIENTATION_TAG, 1)  # of XMP where EXIF has none
    if orientation not in range(2, 9):
        return True
    exif = Image.Exif()
    exif.load(stored.info.get("exif", b""))
    is_exif = [marker == 0xE1 and data[start : start + 6] == b"Exif\0\0" for marker, start, _ in segments]
    if exif.get(ORIENTATION_TAG) != orientation or True not in is_exif:
        return False
    place = is_exif.index(True)
    notes = all(0xE0 <= marker <= 0xEF or marker == 0xFE for marker, _, _ in segments[:place])
    return notes and place < MAX_EXIF_SEGMENTS and segments[place][2] <= MAX_EXIF_BYTES


def _jpeg_segments(data):
    """(marker, start, end) of what the segments up to the first scan hold."""
    segments, position = [], 2
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != 0xDA:
        marker = data[position + 1]
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD7:  # no segments
            segments.append((marker, position, position))
            position += 1 if marker == 0xFF else 2
        else:
            segments.append((marker, position + 4, end))
            position = end
    return segments
