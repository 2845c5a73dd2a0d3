"""The pixels, alone or beside an embedding."""

import keras

from zoo.backbones.conv4 import strided_conv4
from zoo.core import arguments


def pixels(input_shape=(20, 20, 1), name="pixels"):
    """The pixels themselves, flattened, as memory-augmented networks take them (Santoro et al. 2016: 20 x 20).

    Args:
        input_shape: (height, width, channels).
        name: name of the Keras model.

    Returns:
        keras.Model without weights, float32 [B, *input_shape] -> [B, height * width * channels].

    Raises:
        ValueError: for sizes that are no ints of at least 1.
    """
    inputs = keras.Input(arguments.sizes("input_shape", input_shape), name="images")
    return keras.Model(inputs, keras.layers.Flatten(name="flatten")(inputs), name=name)


def pixels_and_conv4(
    input_shape=(28, 28, 1),
    filters=32,
    statistics="running",
    momentum=0.9,
    epsilon=1e-3,
    standardize=None,
    name="pixels_and_conv4",
):
    """The means of 2 x 2 pixels, and beside them a strided Conv-4, flattened: for `zoo.MANN` and `zoo.LSTMBaseline`.

    What an untrained Conv-4 sees says little of the class. Behind it alone, a model of label streams learns to ignore the
    images, and stays there; the pixels let it bind labels to images at all, and then the Conv-4 learns what generalizes.

    Args:
        input_shape: (height, width, channels), height and width even.
        filters, statistics, momentum, epsilon, standardize: of `zoo.backbones.strided_conv4`. The pixels stay from 0 to 1.
        name: name of the Keras model.

    Returns:
        keras.Model, float32 [B, *input_shape] -> [B, height / 2 * width / 2 * channels + D of the Conv-4].

    Raises:
        ValueError: for sizes that are no ints of at least 1, and for what `strided_conv4` refuses.
    """
    input_shape = arguments.sizes("input_shape", input_shape, arguments.IMAGE)
    inputs = keras.Input(input_shape, name="images")
    halves = keras.layers.AveragePooling2D(2, name="halves")(inputs)
    norm = dict(statistics=statistics, momentum=momentum, scale=True, epsilon=epsilon, standardize=standardize)
    embeddings = strided_conv4(input_shape, filters, **norm, pooling="flatten")(inputs)
    outputs = keras.layers.Concatenate(name="both")([keras.layers.Flatten(name="pixels")(halves), embeddings])
    return keras.Model(inputs, outputs, name=name)
