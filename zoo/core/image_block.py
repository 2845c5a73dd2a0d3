"""The first block of a convolutional network, faster than its layers one after the other."""

import keras
import tensorflow as tf

from zoo.core import arguments, convolution, replica_statistics, task_loop
from zoo.core.batch_norm import BatchNorm, row_weights


@keras.saving.register_keras_serializable("metazoa")
class ImageBlock(keras.layers.Layer):
    """Convolution without bias, BatchNorm, max-pool if asked for, and ReLU, for images of few channels.

    Gives what the four layers give. But the first block works on the largest maps of the network and does the least
    arithmetic on them, so most of its time goes into reading and writing them. The mean and the variance of a convolution
    follow from the mean m and the covariance C of the patches that its kernel w sees, 9 x 9 for grey images and 3 x 3 kernels:

        mean(w * x) = w . m,    variance(w * x) = w' C w

    so the maps are not read for their statistics, and normalizing them means to scale the kernel. m is the mean over the patches
    of the mean image. The maximum of ReLUs is the ReLU of the maximum, on a quarter of the pixels. Differentiable any number of
    times, by automatic differentiation.

    Args:
        filters: channels of the output.
        kernel_size, strides, padding, kernel_initializer: of the convolution, as in keras.layers.Conv2D.
        pool_size: of the max-pool; 1 for none.
        statistics, momentum, epsilon, center, scale: of the `zoo.BatchNorm`.
        activation: Keras activation in the place of the ReLU; one that never falls, since the pool stands in front of it.

    Input: float [B, H, W, C]. Output: float [B, H', W', filters].

    Raises:
        ValueError: on what `zoo.BatchNorm` refuses, and a `pool_size` below 1.
    """

    def __init__(
        self,
        filters,
        kernel_size=3,
        strides=1,
        padding="same",
        kernel_initializer="glorot_uniform",
        pool_size=1,
        statistics="running",
        momentum=0.9,
        epsilon=1e-3,
        center=True,
        scale=True,
        activation="relu",
        **kwargs,
    ):
        super().__init__(**kwargs)
        shared = {"dtype": self.dtype_policy}
        self.conv = keras.layers.Conv2D(
            filters,
            kernel_size,
            strides,
            padding,
            use_bias=False,
            kernel_initializer=kernel_initializer,
            name="conv_1",
            **shared,
        )
        self.norm = BatchNorm(statistics, momentum, epsilon, center, scale, name="norm_1", **shared)
        self.conv.trainable = self.norm.trainable = self.trainable  # of a frozen block's config
        self.pool_size = arguments.count("pool_size", pool_size)
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        self.conv.build(input_shape)
        self.norm.build(self.conv.compute_output_shape(input_shape))

    def call(self, x, training=False):
        exact = tf.float64 if x.dtype == tf.float64 else tf.float32
        kernel = tf.cast(self.conv.kernel, exact)
        if self.norm.uses_averages(training):
            mean, variance = self.norm.averages(exact)
        else:
            moments = self._moments(tf.cast(x, exact), kernel)
            mean, variance, count = replica_statistics.combined(*moments)
            self.norm.keep_statistics(mean, variance, count)
        gamma, beta = self.norm.scale_and_offset(exact)
        factor = gamma * tf.math.rsqrt(variance + self.norm.epsilon)
        x = self._convolve(x, tf.cast(kernel * factor, x.dtype))
        if self.pool_size > 1:
            x = tf.nn.max_pool2d(x, self.pool_size, self.pool_size, "VALID")
        return self.activation(x + tf.cast(beta - mean * factor, x.dtype))

    def _convolve(self, x, kernel):
        return convolution.convolve(x, kernel, self.conv.strides, self.conv.padding.upper())

    def _patches(self, x, kernel):
        """What the kernel sees, [B, H', W', its inputs]."""
        if task_loop.at_once():
            return convolution.patches(x, kernel.shape[:2], self.conv.strides, self.conv.padding.upper())
        # A convolution with one kernel per pixel of a patch: ten times as fast as tf.image.extract_patches.
        size = kernel.shape[:3].num_elements()
        one_hot = tf.reshape(tf.one_hot(tf.range(size), size, dtype=x.dtype), [*kernel.shape[:3], size])
        return self._convolve(x, one_hot)

    def _moments(self, x, kernel):
        """Mean [filters] and variance [filters] of the convolution of x over batch and places, and their number."""
        row, rows = row_weights(x[:, :1, :1, :1])
        mean_image = tf.reduce_mean(x, 0, True) if row is None else tf.reduce_sum(row * x, 0, True) / rows
        patch_mean = tf.reduce_mean(self._patches(mean_image, kernel), [0, 1, 2])
        patches = tf.nn.bias_add(self._patches(x, kernel), -patch_mean)  # one op, together with the convolution
        count = rows * tf.cast(tf.reduce_prod(tf.shape(patches)[1:3]), x.dtype)
        weighted = patches if row is None else row * patches
        size = patches.shape[-1]
        weighted, patches = (tf.reshape(values, [-1, size]) for values in (weighted, patches))
        covariance = tf.matmul(weighted, patches, transpose_a=True) / count
        weights = tf.reshape(kernel, [size, -1])
        mean = tf.linalg.matvec(weights, patch_mean, transpose_a=True)
        return mean, tf.reduce_sum(weights * tf.matmul(covariance, weights), axis=0), count

    def compute_output_shape(self, input_shape):
        batch, height, width, filters = self.conv.compute_output_shape(input_shape)
        return batch, height // self.pool_size, width // self.pool_size, filters

    def get_config(self):
        conv, norm = self.conv.get_config(), self.norm.get_config()
        return {
            **super().get_config(),
            **{name: conv[name] for name in ("filters", "kernel_size", "strides", "padding", "kernel_initializer")},
            "pool_size": self.pool_size,
            **{name: norm[name] for name in ("statistics", "momentum", "epsilon", "center", "scale")},
            "activation": keras.activations.serialize(self.activation),
        }
