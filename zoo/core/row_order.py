"""An order of support rows that follows from what they hold, and not from the order in which they came."""

import tensorflow as tf

_MODULUS = 2**31 - 1  # a prime; a product of two numbers below it fits int64


def content_keys(rows):
    """A pseudo-random number of each row that its bits alone decide: float [rows, ...] -> int64 [rows].

    Integers, because a sum of floats is rounded by where a row stands in its batch.
    """
    bits = tf.cast(tf.bitcast(tf.cast(rows, tf.float32), tf.int32), tf.int64) % _MODULUS
    bits = tf.reshape(bits, [tf.shape(rows)[0], -1])
    factors = (tf.range(1, tf.shape(bits)[1] + 1, dtype=tf.int64) * 48271 % _MODULUS) ** 2 % _MODULUS
    sums = tf.reduce_sum(bits * factors % _MODULUS, axis=-1) % _MODULUS
    return sums * 16807 % _MODULUS


def class_balanced_order(rows, labels=None, weights=None):
    """The rows of one task dealt class by class: the first of every class, the second of every class, and so on.

    Within a class, rows come in the order of `content_keys`. So every minibatch holds the classes in nearly equal parts, and a
    permutation of the rows changes nothing. Rows with the same key keep their order: they are equal.

    Args:
        rows: float [rows, ...].
        labels: int64 [rows], or None where all rows are of one kind.
        weights: float [rows]; rows of weight 0 come last. None where all rows count.

    Returns:
        int32 [rows], positions in `rows`.
    """
    keys = content_keys(rows)
    labels = tf.zeros_like(keys) if labels is None else tf.cast(labels, keys.dtype)
    if weights is not None:
        labels = tf.where(weights > 0, labels, -1)
    position = tf.range(tf.shape(keys)[0])
    first = tf.logical_or(
        keys[None, :] < keys[:, None],
        tf.logical_and(keys[None, :] == keys[:, None], position[None, :] < position[:, None]),
    )
    rank = tf.reduce_sum(tf.cast(tf.logical_and(first, labels[None, :] == labels[:, None]), keys.dtype), axis=-1)
    places = rank * (tf.reduce_max(labels) + 1) + labels
    return tf.argsort(places if weights is None else tf.where(weights > 0, places, places.dtype.max), stable=True)
