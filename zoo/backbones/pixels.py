"""No embedding at all."""

import keras


def pixels(input_shape=(20, 20, 1), name="pixels"):
    """The pixels themselves, flattened, as memory-augmented networks take them (Santoro et al. 2016: 20 x 20).

    Args:
        input_shape: (height, width, channels).
        name: name of the Keras model.

    Returns:
        keras.Model without weights, float32 [B, *input_shape] -> [B, height * width * channels].
    """
    inputs = keras.Input(tuple(input_shape), name="images")
    return keras.Model(inputs, keras.layers.Flatten(name="flatten")(inputs), name=name)
