"""Gradients as plain tensors."""

import tensorflow as tf


def gradient(tape, loss, sources):
    """The gradient of `loss` by `sources` (a list or a dict of tensors or variables) in the same structure.

    Dense, also for what was looked up by row (an embedding's table), and zeros for what the loss does not depend on: maps
    over tasks and update rules need a tensor for each.
    """

    def dense(slope, source):  # TensorFlow's own zeros fail for variables of Keras, whose dtype is a string
        return tf.zeros_like(tf.convert_to_tensor(source)) if slope is None else tf.convert_to_tensor(slope)

    return tf.nest.map_structure(dense, tape.gradient(loss, sources), sources)
