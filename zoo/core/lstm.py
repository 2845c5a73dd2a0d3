"""What a long short-term memory does with its gates."""

import tensorflow as tf


def lstm_state(i, f, o, u, c):
    """Output and cell after one step (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).

        c' = sigmoid(f) c + sigmoid(i) tanh(u),    h = sigmoid(o) tanh(c')

    Args:
        i, f, o, u: input, forget and output gate and candidate in front of their activations, float of one shape.
        c: cell before the step, of that shape; None for zeros.

    Returns:
        (h, c'), of that shape.
    """
    written = tf.sigmoid(i) * tf.tanh(u)
    c = written if c is None else tf.sigmoid(f) * c + written
    return tf.sigmoid(o) * tf.tanh(c), c
