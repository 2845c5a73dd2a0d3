"""Layers that an inner loop, which runs a network under weights that are arguments, cannot run as training does."""

import tensorflow as tf


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
