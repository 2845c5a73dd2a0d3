"""Gradients as plain tensors."""

import tensorflow as tf


def inner_loss_scale(network):
    """What an inner loop multiplies its loss by on the way back through the layers of a network, for `gradient`.

    1,024 where one of them computes in float16, which has nothing between 0 and 6e-8 and nothing above 65,504; else 1.
    """
    return 1024.0 if any(layer.compute_dtype == "float16" for layer in network._flatten_layers()) else 1.0


def gradient(tape, loss, sources, loss_scale=1.0):
    """The gradient of `loss` by `sources` (a list or a dict of tensors or variables) in the same structure.

    Dense, also for what was looked up by row (an embedding's table), and zeros for what the loss does not depend on: maps
    over tasks and update rules need a tensor for each.

    Args:
        loss_scale: factor of the loss on the way back, by which the gradient is divided again: small slopes of float16 are 0.
    """

    def dense(slope, source):  # TensorFlow's own zeros fail for variables of Keras, whose dtype is a string
        return tf.zeros_like(tf.convert_to_tensor(source)) if slope is None else tf.convert_to_tensor(slope)

    if loss_scale == 1:
        return tf.nest.map_structure(dense, tape.gradient(loss, sources), sources)
    slopes = tape.gradient(loss, sources, output_gradients=tf.fill(tf.shape(loss), tf.cast(loss_scale, loss.dtype)))
    return tf.nest.map_structure(lambda slope, source: dense(slope, source) / loss_scale, slopes, sources)


def shared_scale(optimizer):
    """The function by which a replica scales the mean loss over its own tasks: `optimizer.apply` sums slopes over replicas.

    A part of the mean over all tasks goes back through the layers, so that float16 overflows where it does in one replica.
    """
    num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return optimizer.scale_loss if num_replicas == 1 else lambda loss: optimizer.scale_loss(loss) / num_replicas


def whole(slopes, optimizer):
    """What a replica gives `optimizer.apply` in place of slopes whose sum over replicas is the gradient.

    An optimizer clips on each replica, before the sum, and one that scales the loss leaves out a step where the first replica's
    slopes are not finite, and that of no other. Such a one gets its part of the whole gradient, clipped as one replica has it.
    """
    num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # a LossScaleOptimizer has one
    scales, clips = inner is not optimizer, any((inner.clipnorm, inner.clipvalue, inner.global_clipnorm))
    if num_replicas == 1 or not (scales or clips):
        return slopes
    slopes = tf.distribute.get_replica_context().all_reduce("sum", slopes)
    if clips:
        scale = optimizer.scale_loss(tf.ones([]))
        slopes = [slope * scale for slope in _clipped([slope / scale for slope in slopes], inner)]
    return [slope / num_replicas for slope in slopes]


def _clipped(slopes, optimizer):
    if bound := optimizer.clipvalue:
        # What is not finite stays so: a LossScaleOptimizer leaves out the step, and halves its scale.
        return [tf.where(tf.math.is_finite(slope), tf.clip_by_value(slope, -bound, bound), slope) for slope in slopes]
    if optimizer.clipnorm:
        return [tf.clip_by_norm(slope, optimizer.clipnorm) for slope in slopes]
    return tf.clip_by_global_norm(slopes, optimizer.global_clipnorm)[0]
