"""Dropout of blocks of neighbouring places."""

import keras
import tensorflow as tf

from zoo.core import arguments


@keras.saving.register_keras_serializable("metazoa")
class DropBlock(keras.layers.Layer):
    """DropBlock (Ghiasi, Lin, Le: A regularization method for convolutional networks, NeurIPS 2018, https://arxiv.org/abs/1810.12890).

    In training, squares of b x b places become 0, in each channel by itself, and what is left grows so that the mean stays:

        gamma = rate / b^2 * H W / ((H - b + 1) (W - b + 1)),    M = 0 in the square of each place that is drawn, with
        probability gamma, among those whose square lies inside the map,    y = x M count(M) / sum(M)

    Nothing happens at inference. The numbers come from a seed generator as those of Keras' Dropout do, so that methods that adapt by
    gradients draw new ones for each task and inner step. With maps smaller than b the square is the map.

    Args:
        block_size: b, at least 1. 1 is Dropout.
        rate: share of places that become 0, from 0 to below 1.
        seed: int or keras.random.SeedGenerator; drawn when None.

    Input and output: float [B, H, W, C], H and W known.

    Raises:
        ValueError: for a `block_size` below 1 or a `rate` that is not from 0 to below 1.
    """

    def __init__(self, block_size=5, rate=0.1, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.block_size = arguments.count("block_size", block_size)
        self.rate = arguments.number("rate", rate, at_least=0, below=1)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        if None in input_shape[1:]:
            raise ValueError(f"DropBlock needs maps of known size. Received: input shape {tuple(input_shape)}")

    def call(self, x, training=False):
        if not training or self.rate == 0:
            return x
        mask = tf.cast(self.mask(tf.shape(x)[0], x.shape[1:]), x.dtype)
        share = tf.reduce_mean(tf.cast(mask, tf.float32))
        return x * mask * tf.cast(1 / tf.maximum(share, 1e-6), x.dtype)

    def mask(self, num_rows, map_shape):
        """M of new numbers: float32 [num_rows, *map_shape] of 0 and 1."""
        height, width, channels = map_shape
        block = [min(self.block_size, size) for size in (height, width)]
        starts = [size - length + 1 for size, length in zip((height, width), block)]
        gamma = self.rate / (block[0] * block[1]) * (height * width) / (starts[0] * starts[1])
        numbers = keras.random.uniform((num_rows, *starts, channels), dtype="float32", seed=self.seed_generator)
        drawn = tf.cast(numbers < gamma, tf.float32)
        margins = [[0, 0], *([length - 1, length - 1] for length in block), [0, 0]]
        return 1 - tf.nn.max_pool2d(tf.pad(drawn, margins), block, 1, "VALID")

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "block_size": self.block_size, "rate": self.rate, "seed": self.seed}
