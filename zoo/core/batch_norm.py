"""Batch normalization whose second derivative is right."""

import contextlib
import contextvars

import keras
import tensorflow as tf

from zoo.core import arguments, replica_statistics, task_loop
from zoo.core.contexts import set_to

STATISTICS = ("running", "batch", "frozen")

# What the layers are asked to do with statistics while a network is called, see the functions below.
_RECORDED = contextvars.ContextVar("recorded", default=None)
_GIVEN = contextvars.ContextVar("given", default=None)
_WRITTEN_OUT = contextvars.ContextVar("written_out", default=False)
_ROW_WEIGHTS = contextvars.ContextVar("row_weights", default=None)
_OF_BATCH = contextvars.ContextVar("of_batch", default=None)  # None, or what becomes of the averages: "keep" or "move"


@contextlib.contextmanager
def recorded_statistics():
    """Context in which every BatchNorm normalizes by its batch; yields a dict, layer -> (mean [C], variance [C]) it used.

    The statistics can be differentiated. A call of the network that is given them normalizes other images as these were:

        with recorded_statistics() as statistics:
            network(support_x)
        with given_statistics(statistics):
            network(query_x)

    Raises:
        ValueError: in the context, for a layer that is called twice: it would have two statistics.
    """
    statistics = {}
    with set_to(_RECORDED, statistics):
        yield statistics


def given_statistics(statistics):
    """Context in which each BatchNorm normalizes by the (mean, variance) that the dict has for it."""
    return set_to(_GIVEN, statistics)


def written_out():
    """Context in which no layer calls the fused op for the statistics of its batch, which engines for devices do not have."""
    return set_to(_WRITTEN_OUT, True)


def weighted_rows(weights):
    """Context in which the statistics of a batch are those of its rows of weight 1, and not of those of weight 0: float [rows].

    Where all of them are 0, those of the first row. It matters where all tasks are run at once: elsewhere rows that do not count
    are taken out, see `taskwise.usable_support`.
    """
    if not task_loop.at_once():
        return contextlib.nullcontext()
    known = tf.get_static_value(weights)  # ones, where no row can be padded
    if known is not None and known.all():
        return contextlib.nullcontext()
    first = tf.one_hot(0, tf.shape(weights)[0], dtype=weights.dtype)
    return set_to(_ROW_WEIGHTS, tf.where(tf.reduce_any(weights > 0), weights, first))


def row_weights(x):
    """(weights of the rows of x that broadcast to it, or None; number of values per channel), see `weighted_rows`."""
    weights = _ROW_WEIGHTS.get()
    if weights is None:
        return None, tf.cast(tf.size(x) // tf.shape(x)[-1], x.dtype)
    places = tf.cast(tf.reduce_prod(tf.shape(x)[1:-1]), x.dtype)
    weights = tf.cast(weights, x.dtype)
    return tf.reshape(weights, [-1] + [1] * (x.shape.rank - 1)), tf.reduce_sum(weights) * places


def batch_statistics(move_averages=False):
    """Context in which every BatchNorm normalizes by its batch, as in training; its averages stay as they are unless asked to."""
    return set_to(_OF_BATCH, "move" if move_averages else "keep")


@keras.saving.register_keras_serializable("metazoa")
class BatchNorm(keras.layers.Layer):
    """Batch normalization over all axes but the last (Ioffe & Szegedy, ICML 2015, https://arxiv.org/abs/1502.03167).

        y = gamma (x - mean) / sqrt(variance + epsilon) + beta

    Differs from keras.layers.BatchNormalization: that layer's second derivative is wrong, since `tf.nn.moments` stops the
    gradient of the mean inside the variance. Through it a second-order MAML follows another direction. Here float32 images
    go through the fused op, whose second derivative is right, and everything else through the formula written out. Half precision is computed in float32, and its averages are kept so.

    Args:
        statistics: "running": batch statistics in training, moving averages at inference, and always where the layer is not
            trainable. "batch": the statistics of the
            batch always, in training and at inference, and no moving averages: queries asked together then change each
            other's answers, unless the method has them normalized by other statistics (`given_statistics`).
            "frozen": moving averages always, in training too, and nothing moves them: for weights that were trained with
            "running". gamma and beta are trained. Every image is answered alone.
        momentum: weight of the old moving average, from 0 to 1 (PyTorch's momentum is 1 minus this).
        epsilon: added to the variance.
        center, scale: whether beta and gamma exist.

    Raises:
        ValueError: on an unknown `statistics`, a number out of range, and a `center` or `scale` that is no bool.
    """

    def __init__(self, statistics="running", momentum=0.9, epsilon=1e-3, center=True, scale=True, **kwargs):
        super().__init__(**kwargs)
        self.statistics = arguments.choice("statistics", statistics, STATISTICS)
        self.momentum = arguments.number("momentum", momentum, at_least=0, at_most=1)
        self.epsilon = arguments.number("epsilon", epsilon, at_least=0)
        self.center = arguments.flag("center", center)
        self.scale = arguments.flag("scale", scale)

    def build(self, input_shape):
        self.channels = channels = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=channels, initializer="ones") if self.scale else None
        self.beta = self.add_weight(name="beta", shape=channels, initializer="zeros") if self.center else None
        if self.statistics != "batch":
            shared = dict(shape=channels, trainable=False, aggregation="mean")  # mean over replicas of tf.distribute
            # A variance is beyond float16 where its inputs are above 256.
            shared |= dict(dtype="float64" if self.variable_dtype == "float64" else "float32", autocast=False)
            self.moving_mean = self.add_weight(name="moving_mean", initializer="zeros", **shared)
            self.moving_variance = self.add_weight(name="moving_variance", initializer="ones", **shared)

    def call(self, x, training=False):
        if x.dtype in (tf.float16, tf.bfloat16):
            return tf.cast(self.call(tf.cast(x, tf.float32), training), x.dtype)
        gamma, beta = self.scale_and_offset(x.dtype)
        if self.uses_averages(training):
            return self._normalize_by_averages(x, gamma, beta)
        outputs, mean, variance, count = self._normalize(x, gamma, beta)
        self.keep_statistics(mean, variance, count)
        return outputs

    def scale_and_offset(self, dtype):
        """gamma and beta, ones and zeros where the layer has none."""
        gamma = tf.ones(self.channels, dtype) if self.gamma is None else tf.cast(self.gamma, dtype)
        beta = tf.zeros(self.channels, dtype) if self.beta is None else tf.cast(self.beta, dtype)
        return gamma, beta

    @property
    def is_frozen(self):
        """Whether the layer normalizes by its averages always: so asked, or not trainable, as Keras' layer does."""
        return self.statistics == "frozen" or (self.statistics == "running" and not self.trainable)

    def uses_averages(self, training):
        """Whether a call normalizes by statistics that are there, moving averages or given ones, and not by those of its batch."""
        if self.is_frozen or _GIVEN.get() is not None:
            return True
        of_batch = training or _OF_BATCH.get() or _RECORDED.get() is not None
        return self.statistics == "running" and not of_batch

    def averages(self, dtype):
        """The mean and the variance that are there."""
        given = None if self.is_frozen else _GIVEN.get()
        mean, variance = (self.moving_mean, self.moving_variance) if given is None else given[self]
        return tf.cast(mean, dtype), tf.cast(variance, dtype)

    def keep_statistics(self, mean, variance, count):
        """Records the statistics of a batch of `count` values per channel where asked to, else moves the averages towards them."""
        recorded = _RECORDED.get()
        if recorded is not None:
            if self in recorded:
                raise ValueError(
                    f"A BatchNorm whose statistics are kept can be called once. Received: {self.path} again"
                )
            recorded[self] = mean, variance
        elif self.statistics == "running" and _OF_BATCH.get() != "keep":
            unbiased = variance * count / tf.maximum(count - 1, 1)
            for average, value in ((self.moving_mean, mean), (self.moving_variance, unbiased)):
                value = tf.cast(tf.stop_gradient(value), average.dtype)
                average.assign(average * self.momentum + value * (1.0 - self.momentum))

    def _normalize_by_averages(self, x, gamma, beta):
        mean, variance = self.averages(x.dtype)
        # The op has no derivative by mean and variance.
        if _is_fusible(x) and _GIVEN.get() is None and not task_loop.at_once():
            return tf.compat.v1.nn.fused_batch_norm(
                x, gamma, beta, mean, variance, epsilon=self.epsilon, is_training=False
            )[0]
        factor = gamma * tf.math.rsqrt(variance + self.epsilon)
        return x * factor + (beta - mean * factor)

    def _normalize(self, x, gamma, beta):
        """(outputs, mean, variance, number of values per channel) by the statistics of the batch."""
        weights, count = row_weights(x)
        written_out = _WRITTEN_OUT.get() or task_loop.at_once() or weights is not None or replica_statistics.is_shared()
        if _is_fusible(x) and not written_out:
            return *fused_batch_norm(x, gamma, beta, self.epsilon, _RECORDED.get() is not None), count
        axes = list(range(x.shape.rank - 1))
        if weights is None:
            mean = tf.reduce_mean(x, axes)
            variance = tf.reduce_mean(tf.square(x - mean), axes)
        else:
            mean = tf.reduce_sum(weights * x, axes) / count
            variance = tf.reduce_sum(weights * tf.square(x - mean), axes) / count
        mean, variance, count = replica_statistics.combined(mean, variance, count)
        return gamma * (x - mean) * tf.math.rsqrt(variance + self.epsilon) + beta, mean, variance, count

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


def fused_batch_norm(x, gamma, beta, epsilon, differentiable_statistics=False):
    """Normalizes float32 [B, H, W, C] by its own statistics: (outputs, mean [C], variance [C]).

    TensorFlow's fused op with derivatives of first and second order in closed form. Its own second derivative is right
    too, but recomputes the first one out of some fifty elementwise ops. Mean and variance are constants to a gradient
    unless `differentiable_statistics`. With x^ the normalized input, r = 1 / sqrt(variance + epsilon), n values per channel
    and P(v) = v - mean(v) - x^ mean(v x^):

        first order     dx = gamma r P(dy) + (dmean + 2 (x - mean) dvariance) / n,    dgamma = sum dy x^,    dbeta = sum dy
        second order    see `_second_order`

    Raises:
        NotImplementedError: for a third derivative, which no method needs.
    """

    @tf.custom_gradient
    def normalize(x, gamma, beta):
        outputs, mean, unbiased, *reserved = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=gamma, offset=beta, mean=[], variance=[], epsilon=epsilon, is_training=True
        )
        count = tf.cast(tf.size(x) // tf.shape(x)[-1], x.dtype)
        variance = unbiased * (count - 1) / count
        r = tf.math.rsqrt(variance + epsilon)

        def gradient(dy, dmean, dvariance):
            dx, dgamma, dbeta = _first_order(dy, x, gamma, mean, r, reserved, epsilon)
            if differentiable_statistics:
                centred = x - tf.reduce_mean(x, [0, 1, 2])
                dx += (dmean + 2 * centred * dvariance) / count
            return dx, dgamma, dbeta

        return (outputs, mean, variance), gradient

    outputs, mean, variance = normalize(x, gamma, beta)
    if not differentiable_statistics:
        mean, variance = tf.stop_gradient(mean), tf.stop_gradient(variance)
    return outputs, mean, variance


def _first_order(dy, x, gamma, mean, r, reserved, epsilon):
    """dx, dgamma and dbeta, differentiable once more by dy, x and gamma."""

    def backward(dy, scale):
        return tf.raw_ops.FusedBatchNormGradV3(
            y_backprop=dy,
            x=x,
            scale=scale,
            reserve_space_1=reserved[0],
            reserve_space_2=reserved[1],
            reserve_space_3=reserved[2],
            epsilon=epsilon,
            is_training=True,
        )[:3]

    @tf.custom_gradient
    def first_order(dy, x, gamma):
        dx, dgamma, dbeta = backward(dy, gamma)

        def gradient(g, a, b):
            ones = tf.ones_like(gamma)
            u = backward(dy, ones)[0]  # r P(dy), which is dx / gamma: but gamma may be 0
            w, sum_g_x, _ = backward(g, ones)  # r P(g)
            return _second_order(u, w, x, gamma, mean, r, g, a, b, dgamma, sum_g_x)

        return (dx, dgamma, dbeta), gradient

    return first_order(dy, x, gamma)


@tf.custom_gradient
def _once(values):
    """Identity that refuses to be differentiated."""

    def gradient(*_):
        raise NotImplementedError("BatchNorm has no third derivative: differentiate through it at most twice.")

    return values, gradient


def _second_order(u, w, x, gamma, mean, r, g, a, b, sum_dy_x, sum_g_x):
    """Gradients of S = sum(g dx) + sum(a dgamma) + sum(b dbeta) by dy, x and gamma.

    With u = r P(dy), w = r P(g), E = mean(dy x^), F = mean(g x^) and Q = mean(g P(dy)), all per channel:

        by dy       gamma r P(g) + a x^ + b
        by gamma    r sum(g P(dy))
        by x        a r P(dy) - gamma r^2 (E P(g) + F P(dy) + Q x^)
    """
    count = tf.cast(tf.size(x) // tf.shape(x)[-1], x.dtype)
    by_gamma = tf.reduce_sum(g * u, [0, 1, 2])
    q = by_gamma / (r * count)
    by_dy = gamma * w + (a * r) * x + (b - a * r * mean)
    slope = -gamma * r**3 * q  # of x in -gamma r^2 Q x^
    by_x = (a - gamma * r * sum_g_x / count) * u - (gamma * r * sum_dy_x / count) * w + (slope * x - slope * mean)
    return _once((by_dy, by_x, by_gamma))
