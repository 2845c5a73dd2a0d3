"""The encoder of Relation Networks, which keeps its maps."""

import keras

from zoo.core import arguments
from zoo.core.batch_norm import BatchNorm
from zoo.core.image_block import ImageBlock
from zoo.core.standardize import standardized


def relation_encoder(
    input_shape=(28, 28, 1),
    filters=64,
    statistics="running",
    momentum=0.9,
    epsilon=1e-3,
    standardize=None,
    flatten_pool=None,
    name="relation_encoder",
):
    """Encoder of Sung et al. (2018): 2 x [conv 3x3 without padding, BatchNorm, ReLU, max-pool 2], 2 x [conv 3x3, BatchNorm, ReLU].

    Without a bias in front of BatchNorm: its gradient is exactly 0.

    Args:
        input_shape: (height, width, channels), height and width at least 10.
        filters: channels of every block; 64 in the paper.
        statistics: "running", or "batch" as in the authors' code, training and test; see `zoo.BatchNorm`.
        momentum, epsilon: of BatchNorm too.
        standardize: what becomes of the colours first, see `zoo.core.standardize`: None subtracts ImageNet's mean and divides
            by its deviation where there are three channels.
        flatten_pool: size of a max-pool after which the maps are flattened to embeddings, for methods that compare these and
            for pretraining; None keeps the maps. The weights are the same.
        name: name of the Keras model.

    Returns:
        keras.Model, float32 [B, *input_shape] -> [B, h, w, filters]: 5 x 5 maps for 28 x 28, 19 x 19 for 84 x 84;
        flattened [B, (h // flatten_pool) * (w // flatten_pool) * filters].

    Raises:
        ValueError: for sizes that are no ints of at least 1, images below 10 x 10, a pool that is larger than the maps.
    """
    input_shape = arguments.sizes("input_shape", input_shape, arguments.IMAGE)
    filters = arguments.count("filters", filters)
    if min(input_shape[:2]) < 10:
        raise ValueError(f"relation_encoder needs at least 10 x 10 for a map. Received: input_shape={input_shape}")
    norm = dict(statistics=statistics, momentum=momentum, epsilon=epsilon)
    inputs = keras.Input(input_shape, name="images")
    x = ImageBlock(
        filters,
        padding="valid",
        kernel_initializer=conv_initializer(),
        pool_size=2,
        **norm,
        name="block_1",
    )(standardized(inputs, standardize))
    for block in range(2, 5):
        x = keras.layers.Conv2D(
            filters,
            3,
            padding="valid" if block == 2 else "same",
            use_bias=False,
            kernel_initializer=conv_initializer(),
            name=f"conv_{block}",
        )(x)
        x = BatchNorm(**norm, name=f"norm_{block}")(x)
        if block == 2:  # before the ReLU: the same maximum, on a quarter of the pixels
            x = keras.layers.MaxPool2D(2, name="pool_2")(x)
        x = keras.layers.ReLU(name=f"relu_{block}")(x)
    if flatten_pool is not None:
        if arguments.count("flatten_pool", flatten_pool) > min(x.shape[1:3]):
            raise ValueError(f"`flatten_pool` must be at most {min(x.shape[1:3])}, the map. Received: {flatten_pool}")
        x = keras.layers.Flatten(name="flatten")(keras.layers.MaxPool2D(flatten_pool, name="pool")(x))
    return keras.Model(inputs, x, name=name)


def conv_initializer():
    """Normal of variance 2 / (3 * 3 * filters), as in the authors' code."""
    return keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="untruncated_normal")
