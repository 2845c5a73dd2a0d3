"""Layer and group normalization whose second derivatives are right."""

import keras
import tensorflow as tf

from zoo.core import arguments


class _RowNorm(keras.layers.Layer):
    """Normalizes each row by itself: gamma (x - mean) / sqrt(variance + epsilon) + beta."""

    def __init__(self, epsilon=1e-3, center=True, scale=True, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = arguments.number("epsilon", epsilon, at_least=0)
        self.center = arguments.flag("center", center)
        self.scale = arguments.flag("scale", scale)

    def add_scale_and_offset(self, shape):
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones") if self.scale else None
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros") if self.center else None

    def normalize(self, x, axes):
        # Not tf.nn.moments: it stops the gradient of the mean inside the variance.
        centred = x - tf.reduce_mean(x, axes, keepdims=True)
        return centred * tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axes, keepdims=True) + self.epsilon)

    def scale_and_shift(self, x, shape):
        """gamma x + beta, both in a shape that broadcasts."""
        x = x if self.gamma is None else x * tf.reshape(tf.cast(self.gamma, x.dtype), shape)
        return x if self.beta is None else x + tf.reshape(tf.cast(self.beta, x.dtype), shape)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon, "center": self.center, "scale": self.scale}


@keras.saving.register_keras_serializable("metazoa")
class LayerNorm(_RowNorm):
    """Layer normalization (Ba, Kiros, Hinton 2016, https://arxiv.org/abs/1607.06450), per row and over the given axes.

    Differs from keras.layers.LayerNormalization: that layer's second derivative is wrong, see `zoo.BatchNorm`.

    Args:
        axis: an axis or a list of axes to normalize over; gamma and beta have their sizes.
        epsilon: added to the variance.
        center, scale: whether beta and gamma exist.

    Raises:
        ValueError: on an `epsilon` below 0, and a `center` or `scale` that is no bool.

    Input and output: float [B, ...].
    """

    def __init__(self, axis=-1, epsilon=1e-3, center=True, scale=True, **kwargs):
        super().__init__(epsilon, center, scale, **kwargs)
        self.axis = axis

    def build(self, input_shape):
        axes = [self.axis] if isinstance(self.axis, int) else self.axis
        self.axes = sorted(axis % len(input_shape) for axis in axes)
        self.add_scale_and_offset([input_shape[axis] for axis in self.axes])

    def call(self, x):
        wide = tf.cast(x, tf.float64 if x.dtype == tf.float64 else tf.float32)
        shape = [x.shape[axis] if axis in self.axes else 1 for axis in range(x.shape.rank)]
        return tf.cast(self.scale_and_shift(self.normalize(wide, self.axes), shape), x.dtype)

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}


@keras.saving.register_keras_serializable("metazoa")
class GroupNorm(_RowNorm):
    """Group normalization (Wu & He 2018, https://arxiv.org/abs/1803.08494): per row and group of channels, the last axis.

    Differs from keras.layers.GroupNormalization: that layer's second derivative is wrong, see `zoo.BatchNorm`.

    Args:
        groups: number of groups; it divides the channels. -1: as many as channels (instance normalization).
        epsilon: added to the variance.
        center, scale: whether beta and gamma, one per channel, exist.

    Input and output: float [B, ..., channels].

    Raises:
        ValueError: on an `epsilon` below 0, and a `center` or `scale` that is no bool; when built, for a number of groups that does not divide the channels.
    """

    def __init__(self, groups=32, epsilon=1e-3, center=True, scale=True, **kwargs):
        super().__init__(epsilon, center, scale, **kwargs)
        self.groups = groups

    def build(self, input_shape):
        channels = input_shape[-1]
        self.num_groups = channels if self.groups == -1 else self.groups
        if not isinstance(self.groups, int) or self.num_groups < 1 or channels % self.num_groups:
            raise ValueError(f"`groups` must divide the {channels} channels. Received: groups={self.groups}")
        self.add_scale_and_offset([channels])

    def call(self, x):
        wide = tf.cast(x, tf.float64 if x.dtype == tf.float64 else tf.float32)
        size = x.shape[-1] // self.num_groups
        grouped = tf.reshape(wide, [tf.shape(x)[0], -1, self.num_groups, size])  # [B, places, groups, size]
        normalized = tf.reshape(self.normalize(grouped, [1, 3]), tf.shape(x))
        return tf.cast(tf.ensure_shape(self.scale_and_shift(normalized, [-1]), x.shape), x.dtype)

    def get_config(self):
        return {**super().get_config(), "groups": self.groups}
