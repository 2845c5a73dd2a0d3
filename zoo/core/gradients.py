"""Gradients as plain tensors."""

import tensorflow as tf


def gradient(tape, loss, sources):
    """The gradient of `loss` by `sources` (a list or a dict of tensors or variables) in the same structure.

    Dense, also for what was looked up by row (an embedding's table), and zeros for what the loss does not depend on: maps
    over tasks and update rules need a tensor for each.
    """
    gradients = tape.gradient(loss, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return tf.nest.map_structure(tf.convert_to_tensor, gradients)
