"""Distances between rows of embeddings."""

import math

import tensorflow as tf

_PAPER_SIZE = 64  # of the embeddings that the papers' Omniglot networks give
_BLOCK = 2**20  # differences held at a time, 4 MB of float32


def size_scale(size, power=1.5):
    """(64 / size)^power, at most 1: what brings comparisons of embeddings of `size` numbers to the range of those of 64.

    A squared distance is a sum over the numbers of an embedding. With the 1,600 that a fresh Conv-4 gives for 84 x 84 images it is
    near 200, so that its softmax over the classes is 0 and 1 before anything is learned, and hardly anything is learned then. The
    power of a squared distance is by measurement: on miniImageNet classes, 5-way 1-shot, the mean loss of the first 30 steps
    is 169 unscaled, 7.0 with 64 / size = 0.04, and 2.2 with 0.01; of steps 90 to 120 it is 41, 2.2 and 1.56.
    """
    return min(1.0, (_PAPER_SIZE / size) ** power)


@tf.custom_gradient
def squared_euclidean(a, b):
    """Squared Euclidean distance of every row of `a` to every row of `b`: [T, Q, D], [T, N, D] -> [T, Q, N].

    The sum of squared differences, which keeps its digits where rows are long and near each other; |a|^2 - 2 a.b + |b|^2
    does not: at lengths of 1,000 it is off by 0.5 in float32. The gradient is written out, because two products give it
    without the [T, Q, N, D] differences.
    """

    def gradient(slope):  # of d(a_q, b_n): 2 (a_q - b_n) by a_q, the opposite by b_n; [T, Q, N]
        by_a = a * tf.reduce_sum(slope, axis=-1)[..., None] - tf.matmul(slope, b)
        by_b = b * tf.reduce_sum(slope, axis=-2)[..., None] - tf.matmul(slope, a, transpose_a=True)
        return 2 * by_a, 2 * by_b

    return _sums_of_squares(a, b), gradient


def cosine(a, b):
    """1 - <a, b> / (|a| |b|) of every row of `a` and every row of `b`: [T, Q, D], [T, N, D] -> [T, Q, N]; 1 for a row of zeros."""
    a, b = (tf.math.l2_normalize(rows, axis=-1) for rows in (a, b))
    return 1 - tf.matmul(a, b, transpose_b=True)


def _sums_of_squares(a, b):
    """`squared_euclidean`, so many rows of `a` at a time that their differences fit `_BLOCK`."""
    sizes = (*a.shape, b.shape[1])  # [T, Q, D, N]
    if None not in sizes and math.prod(sizes) <= _BLOCK:  # no loop, which engines for devices cannot run
        differences = tf.math.squared_difference(tf.expand_dims(a, 2), tf.expand_dims(b, 1))  # [T, Q, N, D]
        return tf.reduce_sum(differences, axis=-1)
    num_rows = tf.shape(a)[1]
    block = tf.maximum(_BLOCK // tf.maximum(tf.size(b), 1), 1)
    num_blocks = tf.maximum((num_rows + block - 1) // block, 1)
    shape = [None, a.shape[0], b.shape[1]]

    def body(i, parts):
        rows = a[:, i * block : (i + 1) * block]
        squares = tf.math.squared_difference(rows[:, :, None], b[:, None])  # [T, block, N, D]
        return i + 1, parts.write(i, tf.transpose(tf.reduce_sum(squares, axis=-1), [1, 0, 2]))

    parts = tf.TensorArray(a.dtype, num_blocks, infer_shape=False, element_shape=shape)
    _, parts = tf.while_loop(lambda i, _: i < num_blocks, body, (0, parts))
    distances = tf.transpose(parts.concat(), [1, 0, 2])
    return tf.ensure_shape(distances, [a.shape[0], a.shape[1], b.shape[1]])
