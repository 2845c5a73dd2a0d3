"""Distances between rows of embeddings."""

import tensorflow as tf


def squared_euclidean(a, b):
    """Squared Euclidean distance of every row of `a` to every row of `b`: [T, Q, D], [T, N, D] -> [T, Q, N].

    Expanded as |a|^2 - 2 a.b + |b|^2, so that no [T, Q, N, D] tensor is made; rounding below 0 is clipped to 0.
    """
    squares_a = tf.reduce_sum(tf.square(a), axis=-1)[..., :, None]  # [T, Q, 1]
    squares_b = tf.reduce_sum(tf.square(b), axis=-1)[..., None, :]  # [T, 1, N]
    return tf.maximum(squares_a - 2.0 * tf.matmul(a, b, transpose_b=True) + squares_b, 0.0)  # [T, Q, N]
