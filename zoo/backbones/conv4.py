"""The convolutional networks of the few-shot papers: four 3x3 blocks."""

import keras

from zoo.core import arguments
from zoo.core.batch_norm import BatchNorm
from zoo.core.image_block import ImageBlock
from zoo.core.standardize import standardized


def conv4(
    input_shape=(28, 28, 1),
    filters=64,
    statistics="running",
    momentum=0.9,
    center=True,
    scale=True,
    epsilon=1e-3,
    standardize=None,
    name="conv4",
):
    """Conv-4 of Vinyals et al. (2016) and Snell et al. (2017): 4 x [conv 3x3, BatchNorm, ReLU, max-pool 2], flattened.

    Without a bias in front of BatchNorm: its gradient is exactly 0.

    Args:
        input_shape: (height, width, channels), height and width at least 16.
        filters: channels of every block; 64 in the papers, 32 for miniImageNet in MAML.
        statistics, momentum, center, scale, epsilon: of BatchNorm, see `zoo.BatchNorm`. PyTorch's epsilon is 1e-5.
        standardize: what becomes of the colours first, see `zoo.core.standardize`: None subtracts ImageNet's mean and divides
            by its deviation where there are three channels.
        name: name of the Keras model.

    Returns:
        keras.Model, float32 [B, *input_shape] -> [B, filters * (height // 16) * (width // 16)].

    Raises:
        ValueError: for sizes that are no ints of at least 1, images below 16 x 16, and for what `standardize` refuses.
    """
    input_shape = arguments.sizes("input_shape", input_shape, arguments.IMAGE)
    filters = arguments.count("filters", filters)
    if min(input_shape[:2]) < 16:
        raise ValueError(f"conv4 halves its images four times: at least 16 x 16. Received: input_shape={input_shape}")
    norm = dict(statistics=statistics, momentum=momentum, center=center, scale=scale, epsilon=epsilon)
    inputs = keras.Input(input_shape, name="images")
    x = ImageBlock(filters, pool_size=2, **norm, name="block_1")(standardized(inputs, standardize))
    for block in range(2, 5):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv_{block}")(x)
        x = BatchNorm(**norm, name=f"norm_{block}")(x)
        # The maximum of ReLUs is the ReLU of the maximum, on a quarter of the pixels.
        x = keras.layers.MaxPool2D(2, name=f"pool_{block}")(x)
        x = keras.layers.ReLU(name=f"relu_{block}")(x)
    return keras.Model(inputs, keras.layers.Flatten(name="flatten")(x), name=name)


def strided_conv4(
    input_shape=(28, 28, 1),
    filters=64,
    statistics="batch",
    scale=False,
    pooling="mean",
    momentum=0.9,
    center=True,
    epsilon=1e-3,
    standardize=None,
    name="strided_conv4",
):
    """MAML's Omniglot network (Finn et al. 2017): 4 x [conv 3x3 stride 2, BatchNorm without gamma, ReLU], mean over space.

    Reptile's (Nichol et al. 2018) is the same with gamma, and flattened: `scale=True, pooling="flatten"`.
    The conv biases of both stand in front of BatchNorm, where their gradient is exactly 0, and are left out.

    Args:
        input_shape: (height, width, channels).
        filters: channels of every block; 64 in the papers.
        statistics: "batch" in the papers, training and test.
        scale: whether BatchNorm has gamma.
        pooling: "mean" over height and width, or "flatten".
        momentum, center, epsilon: of BatchNorm too, see `zoo.BatchNorm`.
        standardize: what becomes of the colours first, see `zoo.core.standardize`: None subtracts ImageNet's mean and divides
            by its deviation where there are three channels.
        name: name of the Keras model.

    Returns:
        keras.Model, float32 [B, *input_shape] -> [B, filters], flattened [B, filters * ceil(height/16) * ceil(width/16)].

    Raises:
        ValueError: for sizes that are no ints of at least 1, an unknown `pooling`, and for what `standardize` refuses.
    """
    input_shape = arguments.sizes("input_shape", input_shape, arguments.IMAGE)
    filters = arguments.count("filters", filters)
    arguments.choice("pooling", pooling, ("mean", "flatten"))
    norm = dict(statistics=statistics, momentum=momentum, center=center, scale=scale, epsilon=epsilon)
    inputs = keras.Input(input_shape, name="images")
    x = ImageBlock(filters, strides=2, **norm, name="block_1")(standardized(inputs, standardize))
    for block in range(2, 5):
        x = keras.layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False, name=f"conv_{block}")(x)
        x = BatchNorm(**norm, name=f"norm_{block}")(x)
        x = keras.layers.ReLU(name=f"relu_{block}")(x)
    pool = keras.layers.GlobalAveragePooling2D if pooling == "mean" else keras.layers.Flatten
    return keras.Model(inputs, pool(name=pooling)(x), name=name)
