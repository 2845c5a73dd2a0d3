"""Batch normalization whose second derivative is right."""

import keras
import tensorflow as tf

STATISTICS = ("running", "batch")


@keras.saving.register_keras_serializable("metazoa")
class BatchNorm(keras.layers.Layer):
    """Batch normalization over all axes but the last (Ioffe & Szegedy, ICML 2015, https://arxiv.org/abs/1502.03167).

        y = gamma (x - mean) / sqrt(variance + epsilon) + beta

    Differs from keras.layers.BatchNormalization: that layer's second derivative is wrong, since `tf.nn.moments` stops the
    gradient of the mean inside the variance. Through it a second-order MAML follows another direction. Here float32 images
    go through the fused op, whose second derivative is right, and everything else through the formula written out.

    Args:
        statistics: "running": batch statistics in training, moving averages at inference. "batch": the statistics of the
            batch always, in training and at inference, and no moving averages: a model that contains it is transductive.
        momentum: weight of the old moving average, from 0 to 1 (PyTorch's momentum is 1 minus this).
        epsilon: added to the variance.
        center, scale: whether beta and gamma exist.

    Raises:
        ValueError: on an unknown `statistics`.
    """

    def __init__(self, statistics="running", momentum=0.9, epsilon=1e-3, center=True, scale=True, **kwargs):
        super().__init__(**kwargs)
        if statistics not in STATISTICS:
            raise ValueError(f"`statistics` must be one of {STATISTICS}. Received: statistics={statistics!r}")
        self.statistics = statistics
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = center
        self.scale = scale

    def build(self, input_shape):
        channels = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=channels, initializer="ones") if self.scale else None
        self.beta = self.add_weight(name="beta", shape=channels, initializer="zeros") if self.center else None
        if self.statistics == "running":
            shared = dict(shape=channels, trainable=False, aggregation="mean")  # mean over replicas of tf.distribute
            self.moving_mean = self.add_weight(name="moving_mean", initializer="zeros", **shared)
            self.moving_variance = self.add_weight(name="moving_variance", initializer="ones", **shared)

    def call(self, x, training=False):
        gamma = tf.ones(x.shape[-1:], x.dtype) if self.gamma is None else tf.cast(self.gamma, x.dtype)
        beta = tf.zeros(x.shape[-1:], x.dtype) if self.beta is None else tf.cast(self.beta, x.dtype)
        if self.statistics == "running" and not training:
            return self._normalize_by_averages(x, gamma, beta)
        outputs, mean, variance = self._normalize(x, gamma, beta)
        if self.statistics == "running":
            for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                value = tf.cast(tf.stop_gradient(value), average.dtype)
                average.assign(average * self.momentum + value * (1.0 - self.momentum))
        return outputs

    def _normalize_by_averages(self, x, gamma, beta):
        mean, variance = tf.cast(self.moving_mean, x.dtype), tf.cast(self.moving_variance, x.dtype)
        if _is_fusible(x):
            return tf.compat.v1.nn.fused_batch_norm(
                x, gamma, beta, mean, variance, epsilon=self.epsilon, is_training=False
            )[0]
        return (x - mean) * (gamma * tf.math.rsqrt(variance + self.epsilon)) + beta

    def _normalize(self, x, gamma, beta):
        """(outputs, mean, unbiased variance) by the statistics of the batch."""
        if _is_fusible(x):
            return tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, epsilon=self.epsilon, is_training=True)
        axes = list(range(x.shape.rank - 1))
        mean = tf.reduce_mean(x, axes)
        variance = tf.reduce_mean(tf.square(x - mean), axes)
        outputs = gamma * (x - mean) * tf.math.rsqrt(variance + self.epsilon) + beta
        count = tf.cast(tf.size(x) // tf.shape(x)[-1], x.dtype)
        return outputs, mean, variance * count / tf.maximum(count - 1, 1)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "statistics": self.statistics,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
        }


def _is_fusible(x):
    return x.dtype == tf.float32 and x.shape.rank == 4
