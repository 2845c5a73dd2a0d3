"""Random affine distortions of images."""

import math

import tensorflow as tf

# Koch's bounds. Shifts are fractions of the side: two pixels of Omniglot's 105, half a pixel of 28.
ROTATION = 10.0  # degrees
SHEAR = 0.3
SCALE = 0.2  # more or less
SHIFT = 2 / 105


def distort(images, seed):
    """Each image under an affine transform of its own, as Koch distorts his training pairs.

    Koch, Zemel, Salakhutdinov: Siamese Neural Networks for One-shot Image Recognition, ICML deep learning workshop
    2015, https://www.cs.cmu.edu/~rsalakhu/papers/oneshot1.pdf, section 3.2. Seven components, each on with probability
    0.5 and then uniform: rotation within 10 degrees either way; shear in x and in y within [-0.3, 0.3]; scale in x and
    in y within [0.8, 1.2]; shift in x and in y within 2/105 of the side. About the centre of the image an ink pixel p
    moves to

        rotation @ [[1, shear_x], [shear_y, 1]] @ diag(scale_x, scale_y) @ p + shift

    The order of the components is ours: the paper gives none. What comes from outside of the image is 0, so paper must
    be 0.

    Args:
        images: float32 [n, H, W, C].
        seed: int [2], of the stateless random numbers: the same seed gives the same transforms.

    Returns:
        float32 [n, H, W, C], bilinear.
    """
    return warp(images, *random_transforms(tf.shape(images)[0], images.shape[1:3], seed))


def random_transforms(count, size, seed):
    """The arguments of `warp` for `count` images of size (height, width), drawn as `distort` says."""
    on_seed, amount_seed = tf.unstack(tf.random.split(seed, 2))
    on = tf.random.stateless_uniform([count, 7], on_seed) < 0.5
    amounts = tf.where(on, tf.random.stateless_uniform([count, 7], amount_seed, -1.0, 1.0), 0.0)
    rotation, shear_x, shear_y, scale_x, scale_y, shift_x, shift_y = tf.unstack(amounts, axis=1)
    return (
        rotation * math.radians(ROTATION),
        (shear_x * SHEAR, shear_y * SHEAR),
        (1.0 + scale_x * SCALE, 1.0 + scale_y * SCALE),
        (shift_x * SHIFT * size[1], shift_y * SHIFT * size[0]),
    )


def warp(images, rotation, shear, scale, shift):
    """Images under given transforms, see `distort`: angles in radians, (x, y) pairs, shifts in pixels, each float [n].

    x points right and y down, so that a positive rotation turns clockwise.
    """
    cos, sin = tf.cos(rotation), tf.sin(rotation)
    a, b = (cos - sin * shear[1]) * scale[0], (cos * shear[0] - sin) * scale[1]
    c, d = (sin + cos * shear[1]) * scale[0], (sin * shear[0] + cos) * scale[1]
    # The op asks where each pixel of the result comes from: the inverse of [[a, b], [c, d]].
    determinant = a * d - b * c
    a, b, c, d = d / determinant, -b / determinant, -c / determinant, a / determinant
    centre_x, centre_y = (images.shape[2] - 1) / 2, (images.shape[1] - 1) / 2
    from_x, from_y = centre_x + shift[0], centre_y + shift[1]
    rows = [a, b, centre_x - a * from_x - b * from_y, c, d, centre_y - c * from_x - d * from_y]
    zeros = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([*rows, zeros, zeros], axis=1),
        output_shape=images.shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
