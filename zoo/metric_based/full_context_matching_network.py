"""Matching Networks with full-context embeddings."""

import keras
import tensorflow as tf

from zoo.core import arguments, distances, episode
from zoo.core.lstm import lstm_state
from zoo.metric_based.matching_network import MatchingNetwork, hide_padding


@keras.saving.register_keras_serializable("metazoa")
class FullContextMatchingNetwork(MatchingNetwork):
    """Matching Network whose embeddings depend on the whole support set S.

    The paper of `zoo.MatchingNetwork`, sections 2.1.2 and A. With the backbone as g' and f', a support image is read by a
    bidirectional LSTM over S in the order of its rows:

        hf_i, cf_i = LSTM(g'(x_i), hf_{i-1}, cf_{i-1}),    hb_i, cb_i = LSTM(g'(x_i), hb_{i+1}, cb_{i+1})
        g(x_i, S)  = hf_i + hb_i + g'(x_i)

    and a query by an LSTM that reads S once in each of its steps k = 1 .. K, from h_0 = c_0 = 0:

        a_{k-1}   = softmax over i of s <h_{k-1}, g(x_i, S)>
        r_{k-1}   = sum_i a_{k-1}(x_i) g(x_i, S)
        h^_k, c_k = LSTM(f'(x), [h_{k-1}, r_{k-1}], c_{k-1})
        h_k       = h^_k + f'(x)
        f(x, S)   = h_K

    h_0 = 0 attends to all support images alike, so that r_0 is the mean of their g(x_i, S).
    s is 64 / D, and 1, as in the paper, where D is at most 64: a product of two rows grows with their size.

    The rest is `MatchingNetwork`; `keys` of the state hold g(x_i, S). Answers depend on the order of the support rows, so
    episodes should shuffle them. Padded rows leave the LSTM as if they were not there.

    The three LSTMs have 28 D^2 weights: 115 thousand for Conv-4's 64 numbers at 28x28, but 72 million for its 1,600 at 84x84.
    `projection_size` puts a matrix behind the backbone, so that D is that size: with 64 they are 115 thousand again, and the
    matrix has 102 thousand.

    Differs from the paper: as `MatchingNetwork` does, and in s. Where the paper names no value, these are chosen: h_0 and c_0
    are zeros, and the forget gates start with bias 1.

    Args:
        backbone, way, similarity, scale, size_scale: as in `MatchingNetwork`.
        num_processing_steps: K, at least 1: so many times a query reads the support set.
        projection_size: D, to which a matrix without bias brings what the backbone gives; None leaves it as it is.

    Raises:
        ValueError: as `MatchingNetwork` does, for embeddings that are not [B, D], and for `num_processing_steps` or
            `projection_size` below 1.

    Example:

    >>> import zoo
    >>> model = zoo.FullContextMatchingNetwork(zoo.backbones.conv4(), num_processing_steps=3)
    """

    classes_in_state = None  # each key depends on the whole support set

    def __init__(self, backbone, way=None, num_processing_steps=3, projection_size=None, **kwargs):
        super().__init__(backbone, way=way, **kwargs)
        self.num_processing_steps = arguments.count("num_processing_steps", num_processing_steps)
        self.projection_size, self.projection = projection_size, None
        if projection_size is not None:
            self.projection_size = arguments.count("projection_size", projection_size)
            self.projection = keras.layers.Dense(
                self.projection_size, use_bias=False, name="projection", dtype=self.variable_dtype
            )
            self.projection.build((None, backbone.output_shape[-1]))
        size = self._compared_size()
        self.forward_lstm = LSTMCell(size, size, size, name="forward_lstm", dtype=self.variable_dtype)
        self.backward_lstm = LSTMCell(size, size, size, name="backward_lstm", dtype=self.variable_dtype)
        self.attention_lstm = LSTMCell(size, 2 * size, size, name="attention_lstm", dtype=self.variable_dtype)

    def adapt_embeddings(self, embeddings, support_y, training=False):
        embeddings = self._projected(embeddings)
        usable = episode.usable_rows(support_y, self.way)
        h_forward = _read_rows(self.forward_lstm, embeddings, usable)
        h_backward = _read_rows(self.backward_lstm, embeddings, usable, reverse=True)
        return super().adapt_embeddings(h_forward + h_backward + embeddings, support_y, training)

    def predict_embeddings(self, task_state, query_embeddings, training=False):
        f = self.attend(self._projected(query_embeddings), task_state["keys"], task_state["labels"])
        return super().predict_embeddings(task_state, f, training)

    def attend(self, embeddings, keys, labels):
        """f(x, S) of every query: f' [T, Q, D], g [T, S, D] -> [T, Q, D]."""
        keys *= tf.reduce_max(labels, axis=-1, keepdims=True)  # a task without a usable row reads 0
        h = c = tf.zeros_like(embeddings)
        scale = distances.size_scale(self._compared_size(), power=1)
        for _ in range(self.num_processing_steps):
            scores = scale * tf.matmul(h, keys, transpose_b=True)
            attention = tf.nn.softmax(hide_padding(scores, labels))  # [T, Q, S]
            r = tf.matmul(attention, keys)
            h, c = self.attention_lstm(embeddings, tf.concat([h, r], axis=-1), c)
            h += embeddings
        return h

    def _projected(self, embeddings):  # [T, rows, what the backbone gives] -> [T, rows, D]
        return embeddings if self.projection is None else self.projection(embeddings)

    def _compared_size(self):
        return self.projection_size or super()._compared_size()

    def get_config(self):
        return {
            **super().get_config(),
            "num_processing_steps": self.num_processing_steps,
            "projection_size": self.projection_size,
        }


class LSTMCell(keras.layers.Layer):
    """One LSTM step whose recurrent input may be wider than its output: the gates are [x, recurrent] W + b.

    Args:
        input_size, recurrent_size, units: sizes of x, of the recurrent input, and of h and c.
    """

    def __init__(self, input_size, recurrent_size, units, **kwargs):
        super().__init__(**kwargs)
        self.kernel = self.add_weight(name="kernel", shape=(input_size + recurrent_size, 4 * units))
        self.bias = self.add_weight(name="bias", shape=(4 * units,), initializer=_forget_bias)
        self.units = units
        self.built = True

    def call(self, x, recurrent, c):
        gates = tf.matmul(tf.concat([x, recurrent], axis=-1), self.kernel) + self.bias
        i, f, o, u = tf.split(gates, 4, axis=-1)
        return lstm_state(i, f, o, u, c)


def _forget_bias(shape, dtype=None):
    """0, and 1 for the forget gate: the second quarter."""
    return tf.cast(tf.range(shape[0]) // (shape[0] // 4) == 1, dtype or tf.float32)


def _read_rows(cell, rows, usable, reverse=False):
    """Outputs h [T, S, units] of an LSTM over the rows of each task, float [T, S, D]; it passes over unusable ones."""

    def step(state, inputs):
        row, is_usable = inputs  # [T, D], [T, 1]
        return tuple(tf.where(is_usable, new, old) for new, old in zip(cell(row, *state), state))

    start = tf.zeros([tf.shape(rows)[0], cell.units], rows.dtype)
    elements = tf.transpose(rows, [1, 0, 2]), tf.transpose(usable)[..., None]
    h, _ = tf.scan(step, elements, (start, start), reverse=reverse)  # [S, T, units]
    return tf.transpose(h, [1, 0, 2])
