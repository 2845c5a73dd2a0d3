"""Matching Networks, without and with full-context embeddings."""

import keras
import tensorflow as tf

from zoo.core import distances, episode
from zoo.core.embedding import EmbeddingModel
from zoo.core.lstm import lstm_state

SIMILARITIES = ("cosine", "scaled_cosine", "support_normalized", "squared_euclidean")


@keras.saving.register_keras_serializable("metazoa")
class MatchingNetwork(EmbeddingModel):
    """Matching Network: a query takes the labels of the support images that it attends to.

    Vinyals, Blundell, Lillicrap, Kavukcuoglu, Wierstra: Matching Networks for One Shot Learning, NeurIPS 2016,
    https://arxiv.org/abs/1606.04080, equation 1 and section 2.1.1, with one network for f and g:

        a(x, x_i) = softmax over the support images i of c(f(x), g(x_i))
        p(n | x)  = sum of a(x, x_i) over the support images i of class n

    c, by `similarity`:

        cosine              <f, g> / (|f| |g|)              the paper's
        scaled_cosine       scale <f, g> / (|f| |g|)
        support_normalized  <f, g> / |g|
        squared_euclidean   -|f - g|^2

    Logits are log p(n | x). Training minimizes their negative over the queries, as in the paper.

    Task state: `keys` float32 [T, S, D], the g(x_i); `labels` float32 [T, S, way], one-hot, zeros for padding;
    `class_counts` float32 [T, way].
    Not transductive with a backbone of running statistics.

    Differs from the paper: c is support_normalized unless asked otherwise. A cosine is between -1 and 1, so that with 5
    support images no class gets more than e^2 / (e^2 + 4) = 0.65 of the attention: too flat to train. The paper's
    fine-tuning on the support set is left out.

    Args:
        backbone: keras.Model, images [B, *input_shape] -> embeddings [B, D].
        way: classes per task that it answers for; None takes the highest support label of the batch plus one.
        similarity: c, one of the names above.
        scale: factor of scaled_cosine, above 0; the others do not use it.

    Raises:
        ValueError: for an unknown `similarity`, a `scale` that is not above 0, and inputs of a wrong rank, shape or dtype.

    Example:

    >>> import zoo
    >>> model = zoo.MatchingNetwork(zoo.backbones.conv4())
    >>> episodes = zoo.datasets.load("glyphs", "train").episodes(way=20, shot=1, query=5, tasks=1, seed=0)
    >>> model.compile(optimizer="adam")
    >>> history = model.fit(episodes, steps_per_epoch=100)
    """

    supports_variable_way = True
    classes_in_state = "by_row"

    def __init__(self, backbone, way=None, similarity="support_normalized", scale=10.0, **kwargs):
        super().__init__(backbone, way=way, **kwargs)
        if similarity not in SIMILARITIES:
            raise ValueError(f"`similarity` must be one of {SIMILARITIES}. Received: similarity={similarity!r}")
        if not scale > 0:
            raise ValueError(f"`scale` must be above 0. Received: scale={scale!r}")
        self.similarity = similarity
        self.scale = scale

    def adapt_embeddings(self, embeddings, support_y, training=False):
        labels = episode.one_hot(support_y, self.num_ways(support_y), embeddings.dtype)  # [T, S, way]
        return {"keys": embeddings, "labels": labels, "class_counts": tf.reduce_sum(labels, axis=1)}

    def predict_embeddings(self, task_state, query_embeddings, training=False):
        keys, labels = task_state["keys"], task_state["labels"]
        c = self._similarities(query_embeddings, keys)  # [T, Q, S]
        log_a = tf.nn.log_softmax(_hide_padding(c, labels))  # [T, Q, S]
        # The logarithm of a sum of a would be -inf where all of them underflow.
        of_class = tf.transpose(labels, [0, 2, 1])[:, None] > 0  # [T, 1, way, S]
        log_a = tf.where(of_class, log_a[:, :, None], tf.cast(episode.ABSENT_CLASS_LOGIT, c.dtype))  # [T, Q, way, S]
        return episode.mask_absent_classes(tf.reduce_logsumexp(log_a, axis=-1), task_state["class_counts"])

    def _similarities(self, queries, keys):
        """c of every query and support image: [T, Q, D], [T, S, D] -> [T, Q, S]."""
        if self.similarity == "squared_euclidean":
            return -distances.squared_euclidean(queries, keys)
        if self.similarity != "support_normalized":
            queries = tf.math.l2_normalize(queries, axis=-1)
        cosines = tf.matmul(queries, tf.math.l2_normalize(keys, axis=-1), transpose_b=True)
        return self.scale * cosines if self.similarity == "scaled_cosine" else cosines

    def get_config(self):
        return {**super().get_config(), "similarity": self.similarity, "scale": self.scale}


@keras.saving.register_keras_serializable("metazoa")
class FullContextMatchingNetwork(MatchingNetwork):
    """Matching Network whose embeddings depend on the whole support set S.

    The same paper, sections 2.1.2 and A. With the backbone as g' and f', a support image is read by a bidirectional LSTM
    over S in the order of its rows:

        hf_i, cf_i = LSTM(g'(x_i), hf_{i-1}, cf_{i-1}),    hb_i, cb_i = LSTM(g'(x_i), hb_{i+1}, cb_{i+1})
        g(x_i, S)  = hf_i + hb_i + g'(x_i)

    and a query by an LSTM that attends to S, for k = 1 .. K, from h_0 = c_0 = r_0 = 0:

        h^_k, c_k = LSTM(f'(x), [h_{k-1}, r_{k-1}], c_{k-1})
        h_k       = h^_k + f'(x)
        a_k       = softmax over i of <h_k, g(x_i)>
        r_k       = sum_i a_k(x_i) g(x_i)
        f(x, S)   = h_K

    The rest is `MatchingNetwork`; `keys` of the state hold g(x_i, S). Answers depend on the order of the support rows, so
    episodes should shuffle them. Padded rows leave the LSTM as if they were not there.

    Differs from the paper: as `MatchingNetwork` does. Where the paper names no value, these are chosen: h_0, c_0 and r_0
    are zeros, and the forget gates start with bias 1.

    Args:
        backbone, way, similarity, scale: as in `MatchingNetwork`.
        num_processing_steps: K, at least 1.

    Raises:
        ValueError: as `MatchingNetwork` does, for embeddings that are not [B, D], and for `num_processing_steps` below 1.

    Example:

    >>> import zoo
    >>> model = zoo.FullContextMatchingNetwork(zoo.backbones.conv4(), num_processing_steps=3)
    """

    classes_in_state = None  # each key depends on the whole support set

    def __init__(self, backbone, way=None, num_processing_steps=3, **kwargs):
        super().__init__(backbone, way=way, **kwargs)
        if not isinstance(num_processing_steps, int) or num_processing_steps < 1:
            raise ValueError(
                f"`num_processing_steps` must be an int of at least 1. "
                f"Received: num_processing_steps={num_processing_steps!r}"
            )
        if len(backbone.output_shape) != 2:
            raise ValueError(f"`backbone` must give embeddings [B, D]. Received: output shape {backbone.output_shape}")
        self.num_processing_steps = num_processing_steps
        size = backbone.output_shape[-1]
        self.forward_lstm = LSTMCell(size, size, size, name="forward_lstm")
        self.backward_lstm = LSTMCell(size, size, size, name="backward_lstm")
        self.attention_lstm = LSTMCell(size, 2 * size, size, name="attention_lstm")

    def adapt_embeddings(self, embeddings, support_y, training=False):
        usable = episode.usable_rows(support_y, self.way)
        h_forward = _read_rows(self.forward_lstm, embeddings, usable)
        h_backward = _read_rows(self.backward_lstm, embeddings, usable, reverse=True)
        return super().adapt_embeddings(h_forward + h_backward + embeddings, support_y, training)

    def predict_embeddings(self, task_state, query_embeddings, training=False):
        f = self._attend(query_embeddings, task_state["keys"], task_state["labels"])
        return super().predict_embeddings(task_state, f, training)

    def _attend(self, embeddings, keys, labels):
        """f(x, S) of every query: f' [T, Q, D], g [T, S, D] -> [T, Q, D]."""
        h = r = c = tf.zeros_like(embeddings)
        for _ in range(self.num_processing_steps):
            h, c = self.attention_lstm(embeddings, tf.concat([h, r], axis=-1), c)
            h += embeddings
            attention = tf.nn.softmax(_hide_padding(tf.matmul(h, keys, transpose_b=True), labels))  # [T, Q, S]
            r = tf.matmul(attention, keys)
        return h

    def get_config(self):
        return {**super().get_config(), "num_processing_steps": self.num_processing_steps}


def _hide_padding(scores, labels):
    """Scores [T, Q, S] that a softmax over S gives to rows with a label only; one-hot labels [T, S, way]."""
    usable = tf.reduce_max(labels, axis=-1)[:, None] > 0  # [T, 1, S]
    return tf.where(usable, scores, tf.cast(episode.ABSENT_CLASS_LOGIT, scores.dtype))


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
