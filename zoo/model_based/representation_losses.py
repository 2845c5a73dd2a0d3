"""What the representation network of Meta Networks is graded by: losses over chunks of a support set."""

import tensorflow as tf

from zoo.core import episode

MARGIN = 1.0  # of the pairwise loss
_SQUARE_EPSILON = 1e-8


def chunk_rows(usable, num_chunks, fewest=1):
    """Which chunk each row is in, float [S, num_chunks]: usable rows in order, nearly equal sizes, empty chunks first.

    A chunk that is not empty has at least `fewest` rows, or all of them.
    """
    rank = tf.cumsum(tf.cast(usable, tf.int32), exclusive=True)
    count = tf.cast(tf.reduce_sum(usable), tf.int32)
    num_occupied = tf.minimum(num_chunks, tf.maximum(count // fewest, 1))
    chunk = num_chunks - num_occupied + rank * num_occupied // tf.maximum(count, 1)
    return tf.one_hot(chunk, num_chunks, dtype=usable.dtype) * usable[:, None]


def row_losses(y, logits):
    """Cross-entropy of each row; of class 0 for rows to ignore."""
    labels = tf.where(episode.usable_rows(y, logits.shape[-1]), y, 0)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


def chunk_cross_entropy(logits, y, chunks):
    """Sum over chunks of the mean cross-entropy of their rows: [S, way], [S], [S, chunks] -> scalar."""
    sizes = tf.reduce_sum(chunks, axis=0)
    return tf.reduce_sum(tf.linalg.matvec(chunks, 1 / tf.maximum(sizes, 1)) * row_losses(y, logits))


def pairwise_loss(keys, y, chunks):
    """Sum over chunks of the mean over their pairs of d^2 for one class, max(0, MARGIN - d)^2 for two; d of keys [S, D]."""
    squares = tf.reduce_sum(tf.square(keys[:, None] - keys[None]), axis=-1)
    distances = tf.sqrt(squares + _SQUARE_EPSILON)  # its derivative is finite at 0
    apart = tf.square(tf.maximum(MARGIN - distances, 0))
    return tf.reduce_sum(pair_weights(chunks) * tf.where(y[:, None] == y[None], squares, apart))


def verification_loss(keys, w, y, chunks):
    """Sum over chunks of the mean over their pairs of the cross-entropy of sigmoid(w |key - key'|) with "of one class".

    Args:
        keys: float [S, D].
        w: float [D, 1].
        y: int64 [S].
        chunks: float [S, chunks], from `chunk_rows`.
    """
    log_odds = tf.matmul(tf.abs(keys[:, None] - keys[None]), w)[..., 0]  # [S, S]
    same = tf.cast(y[:, None] == y[None], keys.dtype)
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=same, logits=log_odds)
    return tf.reduce_sum(pair_weights(chunks) * losses)


def pair_weights(chunks):
    """What each pair of rows counts in the mean over the pairs of its chunk; each pair once: [S, chunks] -> [S, S]."""
    together = tf.matmul(chunks, chunks, transpose_b=True)
    pairs = together - tf.linalg.band_part(together, -1, 0)  # above the diagonal
    sizes = tf.reduce_sum(chunks, axis=0)
    return tf.linalg.matvec(chunks, 1 / tf.maximum(sizes * (sizes - 1) / 2, 1))[:, None] * pairs
