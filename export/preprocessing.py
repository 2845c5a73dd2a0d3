"""From the bytes of image files to what a model takes, as part of the served graph."""

import tensorflow as tf


def decode_images(files, input_shape, invert):
    """PNG, JPEG, GIF (first frame) or BMP files -> float32 [T, rows, *input_shape] from 0 to 1.

    Each image is converted to grey or RGB, resized with anti-aliasing (its aspect ratio is not kept) and, with `invert`,
    turned from dark ink on light paper to ink 1 and paper 0. An empty string gives zeros: a row to pad with.

    Args:
        files: string [T, rows].
        input_shape: (height, width, channels), 1 or 3 channels.
        invert: whether dark is ink.
    """
    flat = tf.reshape(files, [-1])
    images = tf.map_fn(
        lambda file: _decode(file, input_shape, invert),
        flat,
        fn_output_signature=tf.TensorSpec(input_shape, tf.float32),
    )
    return tf.reshape(images, tf.concat([tf.shape(files), input_shape], axis=0))


def _decode(file, input_shape, invert):
    height, width, channels = input_shape

    def image():
        pixels = tf.io.decode_image(file, channels=3, expand_animations=False)
        pixels = tf.ensure_shape(tf.cast(pixels, tf.float32), [None, None, 3]) / 255.0
        # A palette or grey file decodes to three equal channels; the weights of luma are what Pillow's mode L uses.
        pixels = pixels if channels == 3 else tf.image.rgb_to_grayscale(pixels)
        pixels = tf.clip_by_value(tf.image.resize(pixels, [height, width], "lanczos3", antialias=True), 0.0, 1.0)
        return 1.0 - pixels if invert else pixels

    return tf.cond(tf.equal(tf.strings.length(file), 0), lambda: tf.zeros(input_shape), image)
