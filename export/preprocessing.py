"""From the bytes of image files to what a model takes, as part of the served graph."""

import tensorflow as tf

from export.exif import jpeg_orientation, upright
from export.image_header import is_readable
from export.limits import MAX_IMAGE_PIXELS
from zoo.datasets.image_files import check_fit

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH = 24  # place of the byte that holds the bits per channel
_JPEG = b"\xff\xd8\xff"
_LUMA = (19595, 38470, 7471)  # of 65536: the integers with which Pillow makes its mode L


def decode_images(files, input_shape, invert, fit="stretch", max_pixels=MAX_IMAGE_PIXELS):
    """PNG, JPEG, GIF (first frame) or BMP files -> float32 [T, rows, *input_shape] from 0 to 1.

    What `zoo.datasets.image_files.read_image` gives, within a level of 255: JPEG turned as its EXIF data says, the alpha
    channel of PNG laid on paper, converted to grey or RGB, brought to the aspect ratio as `fit` says, resized with anti-aliasing
    and, with `invert`, turned from dark ink on light paper to ink 1 and paper 0. docs/serving.md says what the graph cannot
    read, and the clients change before they send. A file that is broken as far as its structure tells, see
    `export.image_header`, is NaN; so is an empty string, which pads.

    Args:
        files: string [T, rows].
        input_shape: (height, width, channels), 1 or 3 channels.
        invert: whether dark is ink; paper is white then, and black otherwise.
        fit: "stretch", "crop" or "pad", as the model was trained.
        max_pixels: of a file; one whose header says that it has more is not decoded, and counts as broken.

    Raises:
        ValueError: for an unknown `fit`.
        tf.errors.InvalidArgumentError: for a file that is broken in what its structure does not tell.
    """
    check_fit(fit)
    flat = tf.reshape(files, [-1])
    images = tf.map_fn(
        lambda file: tf.cond(
            is_readable(file, max_pixels),
            lambda: _decode(file, input_shape, invert, fit),
            lambda: tf.fill(input_shape, float("nan")),
        ),
        flat,
        fn_output_signature=tf.TensorSpec(input_shape, tf.float32),
    )
    return tf.reshape(images, tf.concat([tf.shape(files), input_shape], axis=0))


def _decode(file, input_shape, invert, fit):
    height, width, channels = input_shape
    paper = 255.0 if invert else 0.0
    pixels = _pixels(file, paper)
    if channels == 1:
        luma = tf.reduce_sum(tf.cast(pixels, tf.int32) * _LUMA, axis=-1, keepdims=True)
        pixels = tf.cast(tf.bitwise.right_shift(luma + 32768, 16), tf.float32)
    if fit == "crop":
        pixels = _middle(pixels, *_bounded_by(*_size(pixels), height, width))
    down, across = _bounded_by(height, width, *_size(pixels)) if fit == "pad" else (height, width)
    # As Pillow does it: along rows, then along columns, with whole levels after each.
    for size in ([_size(pixels)[0], across], [down, across]):
        resized = tf.image.resize(pixels, size, "lanczos3", antialias=True)
        pixels = tf.clip_by_value(tf.round(resized), 0.0, 255.0)
    if fit == "pad":
        top, left = (height - down) // 2, (width - across) // 2
        around = [[top, height - down - top], [left, width - across - left], [0, 0]]
        pixels = tf.ensure_shape(tf.pad(pixels, around, constant_values=paper), input_shape)
    pixels = pixels / 255.0
    return 1.0 - pixels if invert else pixels


def _size(pixels):
    return tf.unstack(tf.shape(pixels)[:2])


def _bounded_by(height, width, ratio_height, ratio_width):
    """As `zoo.datasets.image_files` has it: the largest size within height and width that has the ratio of the other two."""
    height, width, ratio_height, ratio_width = (
        tf.cast(side, tf.float64) for side in (height, width, ratio_height, ratio_width)
    )
    down = tf.minimum(height, tf.round(width * ratio_height / ratio_width))
    across = tf.minimum(width, tf.round(height * ratio_width / ratio_height))
    return tf.cast(tf.maximum(down, 1.0), tf.int32), tf.cast(tf.maximum(across, 1.0), tf.int32)


def _middle(pixels, down, across):
    rows, columns = _size(pixels)
    top, left = (rows - down) // 2, (columns - across) // 2
    return pixels[top : top + down, left : left + across]


def _pixels(file, paper):
    """The first frame of a file, upright and without transparency: whole levels, float32 [H, W, 3]."""

    def png():
        depth = tf.io.decode_raw(tf.strings.join([tf.strings.substr(file, 0, 32), b"\0" * 32]), tf.uint8)[_PNG_DEPTH]
        # Decoded to four channels, a pixel of less than 8 bits comes out wrong.
        return tf.cond(depth >= 8, lambda: _on_paper(tf.io.decode_png(file, channels=4), paper), other)

    def jpeg():
        pixels = tf.io.decode_jpeg(file, channels=3, dct_method="INTEGER_ACCURATE")  # Pillow's
        return upright(tf.cast(pixels, tf.float32), jpeg_orientation(file))

    def other():
        return tf.cast(tf.io.decode_image(file, channels=3, expand_animations=False), tf.float32)

    def starts_with(signature):
        return tf.equal(tf.strings.substr(file, 0, len(signature)), signature)

    return tf.ensure_shape(tf.case([(starts_with(_PNG), png), (starts_with(_JPEG), jpeg)], other), [None, None, 3])


def _on_paper(pixels, paper):
    """Levels [H, W, 4] laid on paper of one level: float32 [H, W, 3]."""
    pixels = tf.cast(pixels, tf.float32)
    alpha = pixels[..., 3:] / 255.0
    return tf.round(pixels[..., :3] * alpha + paper * (1.0 - alpha))
