"""The convolutional network of Koch's Siamese networks."""

import keras

from zoo.core import arguments
from zoo.core.standardize import standardized

# (filters, kernel size, whether a max-pool follows)
_BLOCKS = ((64, 10, True), (128, 7, True), (128, 4, True), (256, 4, False))
_SMALLEST = 65


def koch(
    input_shape=(105, 105, 1),
    embedding_size=4096,
    kernel_initializer=None,
    conv_dtype=None,
    standardize=None,
    name="koch",
):
    """One twin of Koch et al. (2015), figure 4: convolutions without padding, and a dense layer of sigmoids.

    105x105x1, conv 10x10 to 64, pool, conv 7x7 to 128, pool, conv 4x4 to 128, pool, conv 4x4 to 256, all with bias and
    ReLU; flattened to 9,216; dense to 4,096, sigmoid. No BatchNorm. All biases start from N(0.5, 0.01). 38,947,648
    parameters.

    Args:
        input_shape: (height, width, channels), height and width at least 65.
        embedding_size: sigmoids of the dense layer.
        kernel_initializer: Keras initializer of every kernel, as a name or its config. None is the paper's: N(0, 0.01) for the
            convolutions and N(0, 0.2) for the dense layer, given as standard deviations. With it most sigmoids start
            saturated, and images hardly differ behind the last convolution.
        conv_dtype: Keras dtype policy of the convolutions. "mixed_bfloat16" computes them in bfloat16, with float32
            weights, in half the time where the CPU has instructions for it. None: as all layers.
        standardize: what becomes of the colours first, see `zoo.core.standardize`: None subtracts ImageNet's mean and divides
            by its deviation where there are three channels.
        name: name of the Keras model.

    Returns:
        keras.Model, float32 [B, *input_shape] -> [B, embedding_size], from 0 to 1.

    Raises:
        ValueError: for sizes that are no ints of at least 1, and images below 65 x 65.
    """
    input_shape = arguments.sizes("input_shape", input_shape, arguments.IMAGE)
    if min(input_shape[:2]) < _SMALLEST:
        raise ValueError(
            f"koch needs images of at least {_SMALLEST} x {_SMALLEST}. Received: input_shape={input_shape}"
        )

    def initializers(stddev):
        kernel = keras.initializers.RandomNormal(0.0, stddev) if kernel_initializer is None else kernel_initializer
        return {"kernel_initializer": kernel, "bias_initializer": keras.initializers.RandomNormal(0.5, 0.01)}

    inputs = keras.Input(tuple(input_shape), name="images")
    x = standardized(inputs, standardize)
    for block, (filters, kernel_size, pools) in enumerate(_BLOCKS, start=1):
        conv = keras.layers.Conv2D(filters, kernel_size, **initializers(0.01), dtype=conv_dtype, name=f"conv_{block}")
        x = conv(x)
        if pools:  # in front of the ReLU, which commutes with it and then has a quarter of the pixels
            x = keras.layers.MaxPool2D(2, dtype=conv_dtype, name=f"pool_{block}")(x)
        x = keras.layers.ReLU(dtype=conv_dtype, name=f"relu_{block}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    dense = keras.layers.Dense(embedding_size, "sigmoid", **initializers(0.2), name="dense")
    return keras.Model(inputs, dense(x), name=name)
