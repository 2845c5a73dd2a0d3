"""The networks m and d of Meta Networks, which turn gradients into fast weights, coordinate by coordinate."""

import keras
import tensorflow as tf

from zoo.core.lstm import lstm_state

_LOG_EPSILON = 1e-8


class GradientMLP(keras.layers.Layer):
    """m(Z, .): three dense layers on the two features of each coordinate, [2, rows, P] -> [rows, P].

    Coordinates are the last axis, so that a layer is one product of a small matrix with a long one.
    """

    def __init__(self, units, initializer, odd_start, **kwargs):
        super().__init__(**kwargs)
        draws = start_kernels(initializer, odd_start)
        sizes = (2, units, units, 1)
        self.kernels = [
            self.add_weight(name=f"kernel_{i}", shape=shape, initializer=draw)
            for i, (shape, draw) in enumerate(zip(zip(sizes, sizes[1:]), draws), start=1)
        ]
        self.biases = [
            self.add_weight(name=f"bias_{i}", shape=(size, 1), initializer="zeros")
            for i, size in enumerate(sizes[1:], start=1)
        ]
        self.built = True

    def call(self, features):
        h = tf.reshape(features, [2, -1])
        for kernel, bias in zip(self.kernels[:-1], self.biases):
            h = tf.nn.relu(tf.matmul(kernel, h, transpose_a=True) + bias)
        outputs = tf.matmul(self.kernels[-1], h, transpose_a=True) + self.biases[-1]
        return tf.reshape(outputs, tf.shape(features)[1:])


class GradientLSTM(keras.layers.Layer):
    """d(G, .): an LSTM over chunks and a dense layer on its last output, per coordinate: [2, chunks, P] -> [P].

    Chunks without rows come first, and leave no trace: `occupied` [chunks] is 0 for them and 1 for the others.
    """

    def __init__(self, units, initializer, odd_start, **kwargs):
        super().__init__(**kwargs)
        first, middle, last = start_kernels(initializer, odd_start, gates=4)
        self.kernel = self.add_weight(name="kernel", shape=(2, 4 * units), initializer=first)
        self.recurrent = self.add_weight(name="recurrent", shape=(units, 4 * units), initializer=middle)
        self.bias = self.add_weight(name="bias", shape=(4 * units, 1), initializer="zeros")
        self.output_kernel = self.add_weight(name="output_kernel", shape=(units, 1), initializer=last)
        self.output_bias = self.add_weight(name="output_bias", shape=(1, 1), initializer="zeros")
        self.built = True

    def call(self, features, occupied):
        hidden = cell = None
        for chunk in range(features.shape[1]):
            gates = tf.matmul(self.kernel, features[:, chunk], transpose_a=True) + self.bias  # [4 * units, P]
            if chunk > 0:
                kept = occupied[chunk - 1]
                gates += tf.matmul(kept * self.recurrent, hidden, transpose_a=True)
                cell = kept * cell
            i, f, u, o = tf.split(gates, 4, axis=0)
            hidden, cell = lstm_state(i, f, o, u, cell)
        return (tf.matmul(self.output_kernel, hidden, transpose_a=True) + self.output_bias)[0]


def start_kernels(initializer, odd, gates=1):
    """Initializers of the first kernel [2, units], a middle one [units, units] and the last one [units, 1].

    `odd`: units come in two halves per gate, of which the second answers -g as the first answers g. The second feature of g
    changes sign with it and the first does not; behind the first layer, -g exchanges the halves; the last layer subtracts
    them. So the network begins as an odd function of the gradient.
    """
    fresh = [keras.initializers.get(initializer) for _ in range(3)]  # an initializer repeats its own draws
    if not odd:
        return fresh

    def paired(draw, mirror):
        def initialize(shape, dtype=None):
            halves = tf.split(draw((shape[0], shape[1] // 2), dtype=dtype), gates, axis=1)
            return tf.concat([part for half in halves for part in (half, mirror(half))], axis=1)

        return initialize

    def last(shape, dtype=None):
        half = fresh[2](shape, dtype=dtype)[: shape[0] // 2]
        return tf.concat([half, -half], axis=0)

    return (
        paired(fresh[0], lambda half: tf.concat([half[:1], -half[1:]], axis=0)),
        paired(fresh[1], lambda half: tf.roll(half, half.shape[0] // 2, axis=0)),
        last,
    )


def gradient_features(gradients, scale):
    """[max(log|g| / k, -1), clip(e^k g, -1, 1)] of Andrychowicz et al. (2016): [...] -> [2, ...]."""
    log = tf.maximum(tf.math.log(tf.abs(gradients) + _LOG_EPSILON) / scale, -1)
    return tf.stack([log, tf.clip_by_value(gradients * tf.exp(tf.cast(scale, gradients.dtype)), -1, 1)])
