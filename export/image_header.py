"""Whether an image file can be decoded, told in the served graph from its structure, before it is decoded.

The op that decodes fails the whole request for a broken file, and with it the requests of others that the server merged; and
it takes gigabytes for a file that says it has so many pixels. So the size is read from the header first, and the parts that a
file is made of are followed to its end: one that is empty, of another format, impossible or truncated is never decoded.

What this does not see: a PNG whose compressed pixels or their checksums are broken, a JPEG with impossible tables. The clients
open a file before they send it.

A small file may also be made to take long: of thousands of parts that each take their time, or that unpack to a thousand times
their size. So the parts are counted, and far more of them than cameras and painting programs write make a file unreadable.
"""

import binascii

import tensorflow as tf

from export.plain_files import MAX_SCANS, MAX_SIDE, MAX_TEXTS

_PNG = b"\x89PNG\r\n\x1a\n"
_IHDR, _PLTE, _IDAT, _IEND, *_PACKED_TEXTS = (
    int.from_bytes(name, "big") for name in (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"zTXt", b"iTXt")
)
_MAX_CHUNKS = 4_000  # of a PNG
_MAX_SEGMENTS = 1_000  # of a JPEG
_MAX_BLOCKS, _MAX_PARTS = 1_000, 16_000  # of a GIF; parts have at most 255 bytes
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}  # by colour type


def is_readable(file, max_pixels):
    """Whether a PNG, JPEG, GIF or BMP file, a string scalar, is whole and has at most `max_pixels`: bool scalar."""
    data = _Bytes(file)

    def starts_with(signature):
        return tf.equal(tf.strings.substr(file, 0, len(signature)), signature)

    formats = {_PNG: _png, b"\xff\xd8": _jpeg, b"GIF87a": _gif, b"GIF89a": _gif, b"BM": _bmp}
    cases = [(starts_with(signature), lambda read=read: read(data, max_pixels)) for signature, read in formats.items()]
    return tf.case(cases, lambda: tf.constant(False))


class _Bytes:
    """The bytes of a file as numbers; those past its end are 0."""

    def __init__(self, file):
        self.size = tf.strings.length(file)
        self.values = tf.io.decode_raw(tf.strings.join([file, b"\0"]), tf.uint8)

    def __call__(self, position):
        inside = tf.logical_and(position >= 0, position < self.size)
        return tf.cast(tf.gather(self.values, tf.where(inside, position, self.size)), tf.int64)

    def big(self, position, count):
        return self._number(position, range(count))

    def little(self, position, count):
        return self._number(position, range(count - 1, -1, -1))

    def _number(self, position, offsets):
        total = tf.constant(0, tf.int64)
        for offset in offsets:
            total = 256 * total + self(position + offset)
        return total


def _all(*conditions):
    return tf.reduce_all(tf.stack(conditions))


def _among(value, known):
    return tf.reduce_any(tf.equal(value, tf.constant(known, tf.int64)))


def _fits(width, height, max_pixels):
    sides = _all(width >= 1, height >= 1, width <= MAX_SIDE, height <= MAX_SIDE)
    return tf.logical_and(sides, width * height <= max_pixels)


def _ahead(position, count):
    """A position `count` bytes further, past the end of any file where they are too many for an int32."""
    return tf.cast(tf.minimum(tf.cast(position, tf.int64) + count, 2**31 - 1 - 2**16), tf.int32)


def _png(data, max_pixels):
    start = len(_PNG)
    depth, colour = data(start + 16), data(start + 17)
    known = [tf.logical_and(tf.equal(colour, kind), _among(depth, depths)) for kind, depths in _PNG_DEPTHS.items()]
    header = _all(
        tf.equal(data.big(start, 4), 13),
        tf.equal(data.big(start + 4, 4), _IHDR),
        _fits(data.big(start + 8, 4), data.big(start + 12, 4), max_pixels),
        tf.reduce_any(tf.stack(known)),
        tf.equal(data.big(start + 18, 2), 0),
        data(start + 20) <= 1,
        tf.equal(_crc(data, start + 4, 17), data.big(start + 21, 4)),
    )

    def chunk(position, pixels, palettes, texts, _, __):
        size, kind = data.big(position, 4), data.big(position + 4, 4)
        letters = tf.bitwise.bitwise_or(data(position + tf.range(4, 8)), 0x20)  # in lower case
        is_critical = tf.equal(tf.bitwise.bitwise_and(kind, 0x20000000), 0)
        is_palette = tf.equal(kind, _PLTE)
        in_place = _all(tf.logical_not(pixels), tf.equal(palettes, 0), tf.equal(size % 3, 0), size >= 3, size <= 768)
        texts += tf.cast(_among(kind, _PACKED_TEXTS), tf.int32)
        is_known = _all(
            tf.reduce_all(tf.logical_and(letters >= ord("a"), letters <= ord("z"))),
            tf.logical_or(tf.logical_not(is_critical), _among(kind, [_PLTE, _IDAT, _IEND])),
            tf.logical_or(tf.logical_not(is_palette), in_place),
            texts <= MAX_TEXTS,
        )
        end = _ahead(position, 12 + size)
        ended = tf.logical_and(tf.equal(kind, _IEND), end <= data.size)
        pixels = tf.logical_or(pixels, tf.equal(kind, _IDAT))
        return end, pixels, palettes + tf.cast(is_palette, tf.int32), texts, is_known, ended

    _, pixels, palettes, _, known, ended = tf.while_loop(
        lambda position, _, __, ___, known, ended: _all(header, known, tf.logical_not(ended), position < data.size),
        chunk,
        (
            tf.constant(start + 25),
            tf.constant(False),
            tf.constant(0),
            tf.constant(0),
            tf.constant(True),
            tf.constant(False),
        ),
        maximum_iterations=_MAX_CHUNKS,
    )
    return _all(header, known, ended, pixels, tf.logical_or(palettes > 0, tf.not_equal(colour, 3)))


def _crc(data, start, count):
    """CRC-32 of `count` bytes."""
    table = tf.constant([_crc_entry(value) for value in range(256)], tf.int64)
    crc = tf.constant(0xFFFFFFFF, tf.int64)
    for offset in range(count):
        index = tf.bitwise.bitwise_and(tf.bitwise.bitwise_xor(crc, data(start + offset)), 0xFF)
        crc = tf.bitwise.bitwise_xor(tf.gather(table, index), crc // 256)
    return tf.bitwise.bitwise_xor(crc, 0xFFFFFFFF)


def _crc_entry(value):
    # binascii starts from the complement, and gives the complement.
    return binascii.crc32(bytes([value]), 0xFFFFFFFF) ^ 0xFFFFFFFF


def _jpeg(data, max_pixels):
    """Segments up to the first scan: one frame, tables, scan; and an end of image after it."""

    def segment(position, frames, tables, _, __):
        marker, size = data(position + 1), data.big(position + 2, 2)
        is_frame, is_scan = _among(marker, [0xC0, 0xC1, 0xC2]), tf.equal(marker, 0xDA)
        fill, alone = tf.equal(marker, 0xFF), _among(marker, [0x01, *range(0xD0, 0xD8)])
        others = [0xC4, 0xDA, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE]
        parts = data(position + 4)  # of a scan
        is_known = _all(
            tf.reduce_any(tf.stack([is_frame, fill, alone, _among(marker, others)])),
            tf.logical_or(tf.logical_not(is_frame), _jpeg_frame(data, position, max_pixels)),
            tf.logical_or(tf.logical_not(is_scan), _all(parts >= 1, parts <= 4, tf.equal(size, 6 + 2 * parts))),
        )
        tables = tf.logical_or(tables, tf.equal(marker, [0xDB, 0xC4]))  # of quantization, of Huffman codes
        step = tf.where(fill, tf.constant(1, tf.int64), tf.where(alone, tf.constant(2, tf.int64), 2 + size))
        return _ahead(position, step), frames + tf.cast(is_frame, tf.int32), tables, is_known, is_scan

    position, frames, tables, known, scan = tf.while_loop(
        lambda position, _, __, known, scan: _all(
            known, tf.logical_not(scan), tf.equal(data(position), 0xFF), position < data.size
        ),
        segment,
        (tf.constant(2), tf.constant(0), tf.constant([False, False]), tf.constant(True), tf.constant(False)),
        maximum_iterations=_MAX_SEGMENTS,
    )
    rest = data.values[position:]
    marks = tf.where(tf.equal(rest[:-1], 0xFF), rest[1:], 0)  # in no other place of a scan
    num_scans = 1 + tf.reduce_sum(tf.cast(tf.equal(marks, 0xDA), tf.int32))
    is_end = tf.reduce_any(tf.equal(marks, 0xD9))
    return _all(tf.equal(frames, 1), tf.reduce_all(tables), known, scan, is_end, num_scans <= MAX_SCANS)


def _jpeg_frame(data, position, max_pixels):
    """Whether the header of a frame is one that is decoded: 8 bits, 1, 3 or 4 components."""
    components = data(position + 9)
    places = tf.range(4)
    sampling = data(position + 11 + 3 * places)
    across, down, table = sampling // 16, sampling % 16, data(position + 12 + 3 * places)
    possible = tf.reduce_all(tf.stack([across >= 1, across <= 4, down >= 1, down <= 4, table <= 3]), axis=0)
    return _all(
        tf.equal(data(position + 4), 8),
        _fits(data.big(position + 7, 2), data.big(position + 5, 2), max_pixels),
        _among(components, [1, 3, 4]),
        tf.equal(data.big(position + 2, 2), 8 + 3 * components),
        tf.reduce_all(tf.logical_or(possible, places >= tf.cast(components, tf.int32))),
    )


def _gif(data, max_pixels):
    """Blocks up to the trailer; the pixels of all frames count, since all of them are unpacked."""

    def colours(flags):
        present = tf.bitwise.bitwise_and(flags, 0x80) > 0
        return tf.where(present, 3 * tf.bitwise.left_shift(tf.constant(2, tf.int64), flags % 8), 0)

    shared_map = colours(data(10))

    def block(position, pixels, num_parts, _):
        kind = data(position)
        is_frame, is_extension = tf.equal(kind, 0x2C), tf.equal(kind, 0x21)
        ended = tf.logical_and(tf.equal(kind, 0x3B), position < data.size)
        own_map = colours(data(position + 9))
        code_size = data(_ahead(position, 10 + own_map))
        area = data.little(position + 5, 2) * data.little(position + 7, 2)
        possible = _all(area > 0, shared_map + own_map > 0, code_size >= 1, code_size <= 8)
        # A frame that is impossible, and a block of an unknown kind, count as too many pixels.
        area = tf.where(tf.logical_and(is_frame, possible), area, max_pixels + 1)
        pixels += tf.where(tf.logical_or(is_extension, ended), tf.constant(0, tf.int64), area)
        start = _ahead(position, tf.where(is_frame, 11 + own_map, tf.constant(2, tf.int64)))
        position, num_parts = _after_parts(data, start, num_parts)
        return position, pixels, num_parts, ended

    screen = _fits(data.little(6, 2), data.little(8, 2), max_pixels)
    _, pixels, num_parts, ended = tf.while_loop(
        lambda position, pixels, _, ended: _all(
            screen, tf.logical_not(ended), pixels <= max_pixels, position < data.size
        ),
        block,
        (_ahead(13, shared_map), tf.constant(0, tf.int64), tf.constant(0), tf.constant(False)),
        maximum_iterations=_MAX_BLOCKS,
    )
    return _all(screen, ended, pixels > 0, pixels <= max_pixels, num_parts < _MAX_PARTS)


def _after_parts(data, position, num_parts):
    """The position behind the parts of a GIF's block, each of which begins with its size, and how many parts that makes."""

    def size_at(place):  # what stands past the end of the file is 0
        return tf.cast(tf.gather(data.values, tf.minimum(place, data.size)), tf.int32)

    position, _, num_parts = tf.while_loop(
        lambda _, size, count: tf.logical_and(size > 0, count < _MAX_PARTS),
        lambda place, size, count: (place + 1 + size, size_at(place + 1 + size), count + 1),
        (position, size_at(position), num_parts),
    )
    return position + 1, num_parts


def _bmp(data, max_pixels):
    width, height, bits = data.little(18, 4), data.little(22, 4), data.little(28, 2)
    height = tf.where(height >= 2**31, 2**32 - height, height)  # negative where the first row is the top one
    left = tf.cast(data.size, tf.int64) - data.little(10, 4) - (bits * width + 31) // 32 * 4 * height
    return _all(data.size >= 54, _fits(width, height, max_pixels), _among(bits, [8, 24, 32]), left >= 0, left <= 3)
