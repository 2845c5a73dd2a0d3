"""The residual network of the few-shot papers."""

import keras

from zoo.core import arguments
from zoo.core.batch_norm import BatchNorm
from zoo.core.drop_block import DropBlock
from zoo.core.standardize import standardized

_SLOPE = 0.1  # of the leaky ReLU for negative numbers


def resnet12(
    input_shape=(84, 84, 3),
    filters=(64, 160, 320, 640),
    drop_block=None,
    drop_rate=0.1,
    pooling="mean",
    statistics="running",
    momentum=0.9,
    epsilon=1e-3,
    standardize=None,
    name="resnet12",
):
    """ResNet-12 of Lee, Maji, Ravichandran, Soatto: Meta-Learning with Differentiable Convex Optimization, CVPR 2019.

    https://arxiv.org/abs/1904.03758, section 4.1; the form is that of Oreshkin et al. (NeurIPS 2018,
    https://arxiv.org/abs/1805.10123). Four blocks of 3 x [conv 3x3, BatchNorm, leaky ReLU 0.1], with a shortcut [conv 1x1, BatchNorm]
    added in front of the last leaky ReLU, and then max-pool 2. 12,424,320 parameters for colour images.

    Differs from the paper: DropBlock stands after the last two blocks and nothing after the first two; its rate is the same
    throughout training, and does not grow. The mean over space makes the embedding; the paper's ridge regression and SVM take all
    places, `pooling="flatten"`. Convolutions have no bias in front of BatchNorm, where its gradient is exactly 0.

    Args:
        input_shape: (height, width, channels), height and width at least 16.
        filters: channels of each of the four blocks.
        drop_block: side of the squares of `zoo.core.drop_block.DropBlock`, 5 in the paper; None for none.
        drop_rate: share of places that it drops in training.
        pooling: "mean" over height and width, or "flatten".
        statistics, momentum, epsilon: of BatchNorm, see `zoo.BatchNorm`.
        standardize: what becomes of the colours first, see `zoo.core.standardize`: None subtracts ImageNet's mean and divides
            by its deviation where there are three channels.
        name: name of the Keras model.

    Returns:
        keras.Model, float32 [B, *input_shape] -> [B, filters[3]], flattened
        [B, filters[3] * (height // 16) * (width // 16)].

    Raises:
        ValueError: for sizes that are no ints of at least 1, images below 16 x 16, another number of blocks, an unknown `pooling`, and for what DropBlock and
            `standardize` refuse.
    """
    input_shape = arguments.sizes("input_shape", input_shape, arguments.IMAGE)
    filters = arguments.sizes("filters", filters)
    if min(input_shape[:2]) < 16:
        raise ValueError(
            f"resnet12 halves its images four times: at least 16 x 16. Received: input_shape={input_shape}"
        )
    if len(filters) != 4:
        raise ValueError(f"`filters` must be four numbers, one for each block. Received: filters={filters}")
    arguments.choice("pooling", pooling, ("mean", "flatten"))
    norm = dict(statistics=statistics, momentum=momentum, epsilon=epsilon)
    inputs = keras.Input(tuple(input_shape), name="images")
    x = standardized(inputs, standardize)
    for block, channels in enumerate(filters, start=1):
        x = _residual_block(x, channels, norm, f"block_{block}")
        if drop_block is not None and block > 2:
            x = DropBlock(drop_block, drop_rate, name=f"block_{block}_drop")(x)
    pool = keras.layers.GlobalAveragePooling2D if pooling == "mean" else keras.layers.Flatten
    return keras.Model(inputs, pool(name=pooling)(x), name=name)


def _residual_block(x, filters, norm, name):
    def conv_and_norm(x, size, index):
        conv = keras.layers.Conv2D(
            filters, size, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv_{index}"
        )
        return BatchNorm(**norm, name=f"{name}_norm_{index}")(conv(x))

    shortcut = conv_and_norm(x, 1, "shortcut")
    for index in (1, 2):
        x = conv_and_norm(x, 3, index)
        x = keras.layers.LeakyReLU(_SLOPE, name=f"{name}_relu_{index}")(x)
    x = keras.layers.Add(name=f"{name}_add")([conv_and_norm(x, 3, 3), shortcut])
    # In front of the leaky ReLU, which never falls: the same maximum, on a quarter of the places.
    x = keras.layers.MaxPool2D(2, name=f"{name}_pool")(x)
    return keras.layers.LeakyReLU(_SLOPE, name=f"{name}_relu_3")(x)
