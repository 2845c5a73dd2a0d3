"""Fully connected backbones."""

import keras

from zoo.core import arguments
from zoo.core.batch_norm import BatchNorm


def mlp(
    input_shape=(1,),
    hidden_sizes=(40, 40),
    batch_norm=False,
    statistics="batch",
    kernel_initializer="glorot_uniform",
    momentum=0.9,
    center=True,
    scale=True,
    epsilon=1e-3,
    name="mlp",
):
    """[dense, BatchNorm if asked for, ReLU] per hidden size, on flattened inputs.

    MAML's sinusoid network is the default (40, 40); its network without convolutions for Omniglot is
    `input_shape=(28, 28, 1), hidden_sizes=(256, 128, 64, 64), batch_norm=True`.

    Args:
        input_shape: shape of one input; flattened where it has more than one axis.
        hidden_sizes: units of each hidden layer.
        batch_norm: whether BatchNorm stands between each dense layer and its ReLU.
        statistics, momentum, center, scale, epsilon: of BatchNorm, see `zoo.BatchNorm`.
        kernel_initializer: a Keras initializer, of every layer.
        name: name of the Keras model.

    Returns:
        keras.Model, float32 [B, *input_shape] -> [B, hidden_sizes[-1]].

    Raises:
        ValueError: for sizes that are no ints of at least 1, a `batch_norm` that is no bool, and for what `zoo.BatchNorm` refuses.
    """
    norm = dict(statistics=statistics, momentum=momentum, center=center, scale=scale, epsilon=epsilon)
    input_shape = arguments.sizes("input_shape", input_shape)
    hidden_sizes = arguments.sizes("hidden_sizes", hidden_sizes)
    arguments.flag("batch_norm", batch_norm)
    inputs = x = keras.Input(input_shape, name="inputs")
    if len(input_shape) > 1:
        x = keras.layers.Flatten(name="flatten")(x)
    for index, units in enumerate(hidden_sizes, start=1):
        dense = keras.layers.Dense(
            units, use_bias=not batch_norm, kernel_initializer=kernel_initializer, name=f"dense_{index}"
        )
        x = dense(x)
        if batch_norm:
            x = BatchNorm(**norm, name=f"norm_{index}")(x)
        x = keras.layers.ReLU(name=f"relu_{index}")(x)
    return keras.Model(inputs, x, name=name)
