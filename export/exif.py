"""The orientation that a camera wrote into a JPEG file, read and applied as part of the served graph."""

import tensorflow as tf

from export.plain_files import MAX_EXIF_BYTES, MAX_EXIF_SEGMENTS, ORIENTATION_TAG

_MAX_ENTRIES = 128
_EXIF_SEGMENT = b"Exif\0\0"


def jpeg_orientation(file):
    """EXIF orientation of a JPEG file, a string scalar: int32 from 1 to 8, and 1 where the file does not say."""
    head = tf.cast(tf.io.decode_raw(tf.strings.substr(file, 0, MAX_EXIF_BYTES), tf.uint8), tf.int32)
    size = tf.shape(head)[0]
    head = tf.pad(head, [[0, 1]])

    def byte(position):  # 0 past the end: a broken header must not fail the request
        inside = tf.logical_and(position >= 0, position < size)
        return tf.gather(head, tf.where(inside, position, size))

    def is_exif(start):
        same = tf.equal(byte(start + 4 + tf.range(len(_EXIF_SEGMENT))), tf.constant(list(_EXIF_SEGMENT)))
        return tf.logical_and(tf.equal(byte(start + 1), 0xE1), tf.reduce_all(same))

    def is_passed(start):
        marker = byte(start + 1)  # APP0 to APP15, or a comment
        known = tf.logical_or(tf.logical_and(marker >= 0xE0, marker <= 0xEF), tf.equal(marker, 0xFE))
        return tf.reduce_all([tf.equal(byte(start), 0xFF), known, tf.logical_not(is_exif(start))])

    (start,) = tf.while_loop(
        is_passed,
        lambda start: (start + 2 + 256 * byte(start + 2) + byte(start + 3),),
        (tf.constant(2),),
        maximum_iterations=MAX_EXIF_SEGMENTS,
    )
    tiff = start + 4 + len(_EXIF_SEGMENT)
    little_endian = tf.equal(byte(tiff), ord("I"))

    def number(position, num_bytes):
        digits = tf.stack([byte(position + i) for i in range(num_bytes)], axis=-1)
        weights = [256**i for i in range(num_bytes)]
        return tf.reduce_sum(digits * tf.where(little_endian, weights, list(reversed(weights))), axis=-1)

    directory = tiff + number(tiff + 4, 4)
    places = tf.range(_MAX_ENTRIES)
    entries = directory + 2 + 12 * places
    is_orientation = tf.logical_and(places < number(directory, 2), tf.equal(number(entries, 2), ORIENTATION_TAG))
    orientation = tf.reduce_max(tf.where(is_orientation, number(entries + 8, 2), 0))
    known = tf.reduce_all([is_exif(start), orientation >= 1, orientation <= 8])
    return tf.where(known, orientation, 1)


def upright(image, orientation):
    """An image [H, W, C] turned and mirrored as its EXIF orientation says."""

    def turned_if(orientations, turn, image):
        return tf.cond(tf.reduce_any(tf.equal(orientation, orientations)), lambda: turn(image), lambda: image)

    image = turned_if([5, 6, 7, 8], tf.image.transpose, image)
    image = turned_if([2, 3, 6, 7], lambda value: tf.reverse(value, [1]), image)
    return turned_if([3, 4, 7, 8], lambda value: tf.reverse(value, [0]), image)
