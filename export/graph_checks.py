"""What served graphs check of a request, and how they meet one without rows."""

import tensorflow as tf


def require(condition, message, tensor):
    """An op that answers INVALID_ARGUMENT. On shapes only: on content it would fail the requests merged with this one."""
    return tf.debugging.Assert(condition, [message, "Received: shape", tf.shape(tensor)])


def append_rows(images, count):
    """Images [T, rows, ...] with `count` blank ones after each task's: ops of a network may not take zero rows."""
    return tf.pad(images, [[0, 0], [0, count]] + [[0, 0]] * (images.shape.rank - 2))
