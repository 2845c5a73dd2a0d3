"""Layers that an inner loop, which runs a network under weights that are arguments, cannot run as training does."""

import collections
import itertools

import keras
import tensorflow as tf

from zoo.core.batch_norm import BatchNorm


def refuse_moving_state(method, network, handled):
    """Raises ValueError where a layer has state beside its weights that a forward pass in training changes.

    The functional call of an inner loop leaves it as it is, so that it would never move: keras.layers.SpectralNormalization,
    averages of a layer of one's own. A layer says so when it is called, so it is called here, on symbols.

    Args:
        method: name of the method, for the message.
        network: keras.Model.
        handled: the variables that the method itself takes care of: seeds, averages of the zoo's BatchNorm.
    """
    known = {id(variable) for variable in handled}
    others = [variable for variable in network.non_trainable_variables if id(variable) not in known]
    moved = []

    @tf.function(autograph=False)
    def call(inputs):
        before = [tf.convert_to_tensor(variable) for variable in network.non_trainable_variables]
        _, after = network.stateless_call(network.trainable_variables, before, inputs, training=True)
        pairs = zip(network.non_trainable_variables, before, after)
        moved.extend(v for v, old, new in pairs if new is not old and id(v) not in known)

    if others:  # frozen weights are among them, and stay what they are
        inputs = network.inputs[0]
        call.get_concrete_function(tf.TensorSpec((1, *inputs.shape[1:]), inputs.dtype))
    if moved:
        raise ValueError(
            f"{method} adapts by gradients, and moves no state of layers but that of zoo.BatchNorm. "
            f"Received: layer {_owner(network, moved[0]).name}, whose `{moved[0].name}` training changes"
        )


def refuse_constraints(method, part):
    """Raises ValueError where a weight that the inner loop changes has a constraint: an optimizer's step would apply it."""
    for variable in part.trainable_variables:
        if getattr(variable, "constraint", None) is not None:
            raise ValueError(
                f"{method} adapts by gradients, and its inner steps apply no constraint. Received: layer "
                f"{_owner(part, variable).name}, whose `{variable.name}` has {type(variable.constraint).__name__}"
            )


def _owner(network, variable):
    """The innermost layer that has the variable."""
    owners = [layer for layer in network._flatten_layers() if any(v is variable for v in layer.variables)]
    return min(reversed(owners), key=lambda layer: len(layer.variables))


def refuse_repeated_norms(method, network):
    """Raises ValueError for a BatchNorm that a network calls more than once: each call has statistics of its own to keep."""
    for layer, calls in _num_calls(network).items():
        if calls > 1 and isinstance(layer, BatchNorm) and layer.statistics == "batch":
            raise ValueError(
                f"{method} keeps the statistics of the support set, of one call of each zoo.BatchNorm. Received: {layer.name}, "
                f"called {calls} times; make a layer for each call"
            )


def _num_calls(network):
    """{layer: how often it is called}, through the models inside of a functional or Sequential one."""
    found = collections.Counter()
    for node in itertools.chain(*getattr(network, "_functional", network)._nodes_by_depth.values()):
        is_model = isinstance(node.operation, keras.Model)
        found.update(_num_calls(node.operation) if is_model else {node.operation: 1})
    return found
