"""The convolutional part of Meta Networks: five 3x3 blocks without normalization."""

import keras

from zoo.core import arguments
from zoo.core.standardize import standardized

PAPER_INITIALIZER = {"class_name": "RandomUniform", "config": {"minval": -0.1, "maxval": 0.1}}


def conv5(input_shape=(28, 28, 1), filters=64, kernel_initializer=None, standardize=None, name="conv5"):
    """Conv-5 of Munkhdalai & Yu (2017): 5 x [conv 3x3 without bias, ReLU, max-pool 2], flattened.

    The pools round up, 28-14-7-4-2-1, and nothing normalizes: the scale of the initial weights matters.

    Args:
        input_shape: (height, width, channels).
        filters: channels of every block; 64 in the paper for Omniglot, 32 for miniImageNet.
        kernel_initializer: Keras initializer of every kernel, as a name or its config; None is the paper's, uniform
            from -0.1 to 0.1.
        standardize: what becomes of the colours first, see `zoo.core.standardize`: None subtracts ImageNet's mean and divides
            by its deviation where there are three channels.
        name: name of the Keras model.

    Returns:
        keras.Model, float32 [B, *input_shape] -> [B, filters * ceil(height / 32) * ceil(width / 32)].

    Raises:
        ValueError: for sizes that are no ints of at least 1, and for what `standardize` refuses.
    """
    input_shape = arguments.sizes("input_shape", input_shape, arguments.IMAGE)
    filters = arguments.count("filters", filters)
    inputs = keras.Input(input_shape, name="images")
    x = standardized(inputs, standardize)
    for block in range(1, 6):
        x = keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer=PAPER_INITIALIZER if kernel_initializer is None else kernel_initializer,
            name=f"conv_{block}",
        )(x)
        x = keras.layers.ReLU(name=f"relu_{block}")(x)
        x = keras.layers.MaxPool2D(2, padding="same", name=f"pool_{block}")(x)
    return keras.Model(inputs, keras.layers.Flatten(name="flatten")(x), name=name)
