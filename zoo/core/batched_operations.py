"""What `tf.vectorized_map` does with operations that TensorFlow gives it no rule for, or one that does not fit."""

import functools

import tensorflow as tf
from tensorflow.python.ops.parallel_for import pfor

from zoo.core import convolution

# Of numbers that a seed decides. They take one seed: drawn task after task, as TensorFlow has it for the same operations of old.
_OF_A_SEED = (
    "StatelessRandomGetKeyCounter",
    "StatelessRandomNormalV2",
    "StatelessRandomUniformFullIntV2",
    "StatelessRandomUniformIntV2",
    "StatelessRandomUniformV2",
    "StatelessTruncatedNormalV2",
)


# By operation: the input that differs from task to task where the convolution must be grouped, and the one that is a shape.
_CONVOLUTIONS = {"Conv2D": (1, None), "Conv2DBackpropInput": (1, 0), "Conv2DBackpropFilter": (0, 1)}


@functools.cache
def register():
    """Gives TensorFlow the rules, once.

    One that it has by itself is left as it is; that of a convolution is followed where all tasks share the kernel, for which it
    was written.
    """
    rules = {"Bitcast": _bitcast, **dict.fromkeys(_OF_A_SEED, pfor._fallback_converter)}
    for name, rule in rules.items():
        if name not in pfor._pfor_converter_registry:
            pfor.RegisterPFor(name)(rule)
    for name, (of_task, sizes) in _CONVOLUTIONS.items():
        shared = pfor._pfor_converter_registry[name]
        pfor._pfor_converter_registry[name] = functools.partial(_grouped, shared, of_task, sizes)


def _bitcast(operation):
    return pfor.wrap(tf.bitcast(operation.stacked_input(0), operation.get_attr("type")), True)


def _grouped(shared, of_task, sizes, operation):
    """All tasks in one convolution, of as many groups, their channels side by side; by the rule for a shared kernel where it fits."""
    in_rows = operation.get_attr("data_format") == b"NHWC"
    if not (operation.input(of_task)[1] and in_rows and convolution.groups_have_gradients(operation.outputs[0].dtype)):
        return shared(operation)
    num_tasks = operation.pfor.loop_len_vector
    operation.stack_inputs([index for index in range(operation.num_inputs) if index != sizes])
    inputs = [
        operation.unstacked_input(index) * tf.concat([[1, 1, 1], num_tasks], axis=0)
        if index == sizes
        else side_by_side(operation.stacked_input(index))
        for index in range(operation.num_inputs)
    ]
    types = [output.dtype for output in operation.outputs]
    outputs = pfor._create_op(operation.op_type, inputs, types, attrs=operation.op.node_def.attr).outputs
    return pfor.wrap(apart(outputs[0], num_tasks), True)


def side_by_side(values):
    """[T, a, b, c, d] -> [a, b, c, T * d]."""
    values = tf.transpose(values, [1, 2, 3, 0, 4])
    return tf.reshape(values, tf.concat([tf.shape(values)[:3], [-1]], axis=0))


def apart(values, num_tasks):
    """[a, b, c, T * d] -> [T, a, b, c, d]."""
    values = tf.reshape(values, tf.concat([tf.shape(values)[:3], num_tasks, [-1]], axis=0))
    return tf.transpose(values, [3, 0, 1, 2, 4])
