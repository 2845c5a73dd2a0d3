"""Whether an image file can be decoded, told in the served graph from its structure, before it is decoded.

The op that decodes fails the whole request for a broken file, and with it the requests of others that the server merged; and
it takes gigabytes for a file that says it has so many pixels. So the size is read from the header first, and the parts that a
file is made of are followed to its end: one that is empty, of another format, impossible or truncated is never decoded.

What this does not see: a PNG whose compressed pixels or their checksums are broken, a JPEG with impossible tables. The clients
open a file before they send it.
"""

import binascii

import tensorflow as tf

MAX_SIDE = 65_500  # libjpeg's; a file of another format with longer sides is not decoded either
_PNG = b"\x89PNG\r\n\x1a\n"
_IHDR, _PLTE, _IDAT, _IEND = (int.from_bytes(name, "big") for name in (b"IHDR", b"PLTE", b"IDAT", b"IEND"))
_MAX_CHUNKS, _MAX_SEGMENTS, _MAX_BLOCKS = 10_000, 1_000, 40_000
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

    def chunk(position, pixels, palette, _):
        kind, end = data.big(position + 4, 4), _ahead(position, 12 + data.big(position, 4))
        ended = tf.logical_and(tf.equal(kind, _IEND), end <= data.size)
        return end, tf.logical_or(pixels, tf.equal(kind, _IDAT)), tf.logical_or(palette, tf.equal(kind, _PLTE)), ended

    _, pixels, palette, ended = tf.while_loop(
        lambda position, _, __, ended: _all(header, tf.logical_not(ended), position < data.size),
        chunk,
        (tf.constant(start), *3 * (tf.constant(False),)),
        maximum_iterations=_MAX_CHUNKS,
    )
    return _all(header, ended, pixels, tf.logical_or(palette, tf.not_equal(colour, 3)))


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
    """Segments up to the first scan: frame, tables, scan; and an end of image after it."""

    def segment(position, fits, tables, _):
        marker, size = data(position + 1), data.big(position + 2, 2)
        is_frame = _among(marker, [0xC0, 0xC1, 0xC2])
        components = data(position + 9)
        frame = _all(
            tf.equal(data(position + 4), 8),
            _fits(data.big(position + 7, 2), data.big(position + 5, 2), max_pixels),
            _among(components, [1, 3, 4]),
            tf.equal(size, 8 + 3 * components),
        )
        fits = tf.where(is_frame, frame, fits)
        tables = tf.logical_or(tables, tf.equal(marker, [0xDB, 0xC4]))  # of quantization, of Huffman codes
        fill, alone = tf.equal(marker, 0xFF), _among(marker, [0x01, *range(0xD0, 0xD8)])
        step = tf.where(fill, tf.constant(1, tf.int64), tf.where(alone, tf.constant(2, tf.int64), 2 + size))
        return _ahead(position, step), fits, tables, tf.equal(marker, 0xDA)

    position, fits, tables, scan = tf.while_loop(
        lambda position, _, __, scan: _all(tf.logical_not(scan), tf.equal(data(position), 0xFF), position < data.size),
        segment,
        (tf.constant(2), tf.constant(False), tf.constant([False, False]), tf.constant(False)),
        maximum_iterations=_MAX_SEGMENTS,
    )
    rest = data.values[position:]
    is_end = tf.logical_and(tf.equal(rest[:-1], 0xFF), tf.equal(rest[1:], 0xD9))  # in no other place of a scan
    return _all(fits, tf.reduce_all(tables), scan, tf.reduce_any(is_end))


def _gif(data, max_pixels):
    """Blocks up to the trailer; the pixels of all frames count, since all of them are unpacked."""

    def colours(flags):
        present = tf.bitwise.bitwise_and(flags, 0x80) > 0
        return tf.where(present, 3 * tf.bitwise.left_shift(tf.constant(2, tf.int64), flags % 8), 0)

    def block(position, inside, pixels, _):
        kind = data(position)
        is_frame = _all(tf.logical_not(inside), tf.equal(kind, 0x2C))
        is_extension = _all(tf.logical_not(inside), tf.equal(kind, 0x21))
        width, height = data.little(position + 5, 2), data.little(position + 7, 2)
        # A frame of no size is impossible; so is a block of an unknown kind.
        area = tf.where(width * height > 0, width * height, max_pixels + 1)
        pixels += tf.where(is_frame, area, tf.constant(0, tf.int64))
        ended = _all(tf.logical_not(inside), tf.equal(kind, 0x3B), position < data.size)
        known = tf.reduce_any(tf.stack([inside, is_frame, is_extension, ended]))
        pixels = tf.where(known, pixels, max_pixels + 1)
        outside = tf.where(is_frame, 11 + colours(data(position + 9)), tf.constant(2, tf.int64))
        end = _ahead(position, tf.where(inside, 1 + kind, outside))
        return end, tf.where(inside, kind > 0, tf.logical_or(is_frame, is_extension)), pixels, ended

    screen = _fits(data.little(6, 2), data.little(8, 2), max_pixels)
    start = _ahead(13, colours(data(10)))
    _, _, pixels, ended = tf.while_loop(
        lambda position, _, pixels, ended: _all(
            screen, tf.logical_not(ended), pixels <= max_pixels, position < data.size
        ),
        block,
        (start, tf.constant(False), tf.constant(0, tf.int64), tf.constant(False)),
        maximum_iterations=_MAX_BLOCKS,
    )
    return _all(screen, ended, pixels > 0, pixels <= max_pixels)


def _bmp(data, max_pixels):
    width, height, bits = data.little(18, 4), data.little(22, 4), data.little(28, 2)
    height = tf.where(height >= 2**31, 2**32 - height, height)  # negative where the first row is the top one
    left = tf.cast(data.size, tf.int64) - data.little(10, 4) - (bits * width + 31) // 32 * 4 * height
    return _all(data.size >= 54, _fits(width, height, max_pixels), _among(bits, [8, 24, 32]), left >= 0, left <= 3)
