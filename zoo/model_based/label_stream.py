"""Models that read a task as a stream in which the label of an image arrives together with the next image."""

import keras
import tensorflow as tf

from zoo.core import arguments, episode
from zoo.core.embedding import EmbeddingModel
from zoo.core.few_shot_model import flatten_tasks, unflatten_tasks
from zoo.core.lstm import lstm_state
from zoo.model_based.presentation_accuracy import presentation_metrics, update_presentations
from zoo.model_based.string_codes import NUM_CHARACTERS, NUM_LETTERS, string_codes

LABEL_ENCODINGS = ("one_hot", "strings")
# Standard deviation of the weights of the label at the start. A label is one or five ones beside hundreds of pixels: with weights
# as small as theirs it hardly moves the gates, and thousands of steps pass before it is bound to anything.
_LABEL_STDDEV = 0.6
# Parts of the task state that no step changes.
_RECORDS = ("last_label", "class_counts", "codes")


class LabelStreamModel(EmbeddingModel):
    """A recurrent model over the stream (x_1, 0), (x_2, y_1), (x_3, y_2), ... which answers y_t at step t.

    Santoro et al., ICML 2016 (see `zoo.MANN`), section 2. The support set in the order of its rows is the stream. Each query
    is one further step from the state after it, with the last support label; it changes nothing for the other queries.
    Padded rows leave the state, and the label that arrives next, as they were.

    A label is a string of characters, each one of some letters, and the output is one softmax per character. A one-hot
    label is a string of one character, whose letters are the classes.

    A method gives `initial_state`, `step` and `features`.

    Args:
        backbone: keras.Model, images [B, *input_shape] -> embeddings [B, D].
        way: classes per task; None only with strings, where it is the highest support label of the batch plus one.
        label_encoding: "one_hot", or "strings": classes are named by random strings of five characters out of five letters,
            given as 25 numbers with five ones. Drawn per task and step in training, fixed at inference.
        controller_size: units C of the LSTM.
        read_size: size of what is read from a memory, which the output layer sees beside h.
        feed_read: whether it is an input to the LSTM of the next step too.

    Raises:
        ValueError: for an unknown `label_encoding`; without `way` for one-hot labels; for inputs of a wrong rank, shape,
            dtype or label.
    """

    has_embedding = False  # what an image means is in the memory, not in its embedding
    one_thread_per_op = True  # the steps of the stream
    supports_mixed_precision = True

    def __init__(self, backbone, way, label_encoding, controller_size, read_size=0, feed_read=False, **kwargs):
        super().__init__(backbone, way=way, **kwargs)
        arguments.choice("label_encoding", label_encoding, LABEL_ENCODINGS)
        if way is None and label_encoding == "one_hot":
            raise ValueError("`way` must be given for one-hot labels: the size of the output. Received: way=None")
        self.label_encoding = label_encoding
        self.controller_size = arguments.count("controller_size", controller_size)
        self.num_characters, self.num_letters = (
            (1, way) if label_encoding == "one_hot" else (NUM_CHARACTERS, NUM_LETTERS)
        )
        label_size = self.num_characters * self.num_letters
        recurrent_size = controller_size + (read_size if feed_read else 0)
        self.image_layer = dense(
            4 * controller_size, backbone.output_shape[-1], name="image", dtype=self.variable_dtype
        )
        self.label_layer = dense(
            4 * controller_size,
            label_size,
            use_bias=False,
            kernel_initializer=keras.initializers.RandomNormal(stddev=_LABEL_STDDEV),
            name="label",
            dtype=self.variable_dtype,
        )
        self.recurrent_layer = dense(
            4 * controller_size,
            recurrent_size,
            use_bias=False,
            kernel_initializer="orthogonal",
            name="recurrent",
            dtype=self.variable_dtype,
        )
        self.output_layer = dense(label_size, controller_size + read_size, name="output", dtype=self.variable_dtype)
        self.additional_metrics = presentation_metrics()

    @property
    def supports_variable_way(self):
        return self.label_encoding == "strings"

    # ---- what a method gives

    def initial_state(self, num_tasks):
        """The state before the first presentation: a dict of tensors, `num_tasks` leading. The same for every episode."""
        raise NotImplementedError(f"{type(self).__name__} must define `initial_state`.")

    def step(self, state, inputs, usable=None):
        """The state after one presentation, whose (x_t, y_{t-1}) `input_gates` has made float [T, 4 C].

        Where `usable`, bool [T], is False, the row is padding and the state stays as it was; None: no row is padding.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `step`.")

    def features(self, state):
        """What the output layer reads: [T, C + read_size]."""
        raise NotImplementedError(f"{type(self).__name__} must define `features`.")

    # ---- the contract

    def adapt_embeddings(self, embeddings, support_y, training=False):
        return self._read(embeddings, support_y, training)[1]

    def predict_embeddings(self, task_state, query_embeddings, training=False):
        return self._query_logits(task_state, self._ask(task_state, query_embeddings))

    def training_outputs(self, x, y, training=True):
        """All presentations of a task, support and queries: their labels as strings [T, S + Q, label size], zeros for padding,
        and the log probabilities of the characters. In training it updates the metrics of the presentations.
        """
        x = self.checked_inputs(x)
        support, queries = self.embed_together(x["support_x"], x["query_x"], training)
        stream, state = self._read(support, x["support_y"], training)
        answers = self._ask(state, queries)
        labels = tf.concat([x["support_y"], y], axis=1)
        log_p = tf.concat([stream, answers], axis=1)  # [T, S + Q, label size]
        if training:
            self._update_presentations(stream, x["support_y"], self._codes_of(state))
        return self._encode(labels, self._codes_of(state)), log_p, self._query_logits(state, answers)

    def task_objective(self, y, outputs):
        """The mean over the presentations of minus the log probability of their strings."""
        row_losses = -tf.reduce_sum(outputs * y, axis=-1)  # [T, S + Q]
        usable = tf.cast(tf.reduce_any(y > 0, axis=-1), row_losses.dtype)
        return tf.reduce_sum(row_losses, axis=-1) / tf.maximum(tf.reduce_sum(usable, axis=-1), 1)

    # ---- accuracy by presentation

    def presentation_logits(self, support_x, support_y):
        """Log probabilities of the classes at every step of the stream, before its label arrives: [T, S, way]."""
        support_x, support_y = self.checked_support(support_x, support_y)
        log_p, state = self._read(self.embed_support(support_x, support_y), support_y, training=False)
        return tf.matmul(log_p, self._codes_of(state), transpose_b=True)

    def answer_in_evaluation(self, x, y):
        support = self.embed_support(x["support_x"], x["support_y"])
        log_p, state = self._read(support, x["support_y"], training=False)
        self._update_presentations(log_p, x["support_y"], self._codes_of(state))
        return self.predict_with(state, x["query_x"])

    def _update_presentations(self, log_p, labels, codes):
        """Accuracy of each episode at the k-th presentation of its classes; all characters of a label must be right."""
        said = tf.argmax(self._characters(log_p), axis=-1)  # [T, S, characters]
        wanted = tf.argmax(self._characters(self._encode(labels, codes)), axis=-1)
        right = tf.cast(tf.reduce_all(said == wanted, axis=-1), log_p.dtype)
        update_presentations(self.additional_metrics, right, labels)

    # ---- the stream

    def _read(self, embeddings, support_y, training):
        """Runs the support set through: log probabilities of the characters [T, S, label size], task state."""
        num_tasks, num_rows = tf.unstack(tf.shape(support_y))
        way = self.num_ways(support_y)
        usable = episode.usable_rows(support_y, self.way)
        codes = self._make_codes(num_tasks, way, training)
        arrived = arrived_labels(self._encode(support_y, codes), usable)  # [T, S + 1, label size]
        # One product for all steps: only what depends on the state is left to the loop.
        inputs = self.input_gates(embeddings, arrived[:, :-1])  # [T, S, 4 C]
        # Arrays, because the gradient of a slice is as large as all steps together, at every step.
        inputs = tf.TensorArray(inputs.dtype, num_rows).unstack(tf.transpose(inputs, [1, 0, 2]))
        mask = tf.transpose(usable)
        size = self.output_layer.kernel.shape[0]
        features = tf.TensorArray(self.compute_dtype, num_rows, element_shape=[support_y.shape[0], size])

        def body(t, state, features):
            state = self.step(state, inputs.read(t), mask[t])
            return t + 1, state, features.write(t, self.features(state))

        start = (tf.constant(0), self.initial_state(num_tasks), features)
        _, state, features = tf.while_loop(lambda t, *_: t < num_rows, body, start)
        log_p = self._log_probabilities(tf.transpose(features.stack(), [1, 0, 2]))
        state["last_label"] = arrived[:, -1]
        state["class_counts"] = episode.class_counts(support_y, way, log_p.dtype)
        if self.label_encoding == "strings":
            state["codes"] = codes
        return log_p, state

    def _ask(self, task_state, embeddings):
        """One step per query, each from the state after the support set: [T, Q, D] -> [T, Q, label size]."""
        num_queries = tf.shape(embeddings)[1]

        def repeat(values):  # [T, ...] -> [T * Q, ...]
            return flatten_tasks(tf.repeat(values[:, None], num_queries, axis=1))

        state = {name: repeat(value) for name, value in task_state.items() if name not in _RECORDS}
        inputs = self.input_gates(flatten_tasks(embeddings), repeat(task_state["last_label"]))
        log_p = self._log_probabilities(self.features(self.step(state, inputs)))
        return unflatten_tasks(log_p, embeddings)

    def input_gates(self, embeddings, labels):
        """The part of the gates that (x_t, y_{t-1}) makes: [..., D], [..., L] -> [..., 4 C]."""
        return self.image_layer(embeddings) + self.label_layer(labels)

    def lstm(self, inputs, recurrent, c):
        """One step of the controller: (h_t, c_t). The forget gate starts open, which a bias of 1 does."""
        i, f, u, o = tf.split(inputs + self.recurrent_layer(recurrent), 4, axis=-1)
        return lstm_state(i, f + 1, o, u, c)

    # ---- labels

    def _characters(self, values):
        """[..., label size] -> [..., characters, letters]."""
        return tf.reshape(values, tf.concat([tf.shape(values)[:-1], [self.num_characters, self.num_letters]], axis=0))

    def _log_probabilities(self, features):
        outputs = self.output_layer(features)
        return tf.reshape(tf.nn.log_softmax(self._characters(outputs)), tf.shape(outputs))

    def _encode(self, labels, codes):
        """Labels as the network sees them, zeros for padding: [T, rows] -> [T, rows, label size]."""
        return tf.matmul(episode.one_hot(labels, tf.shape(codes)[1], codes.dtype), codes)

    def _query_logits(self, state, log_p):
        """Per class the sum over the characters of its label of their log probability: [T, Q, way]."""
        logits = tf.matmul(log_p, self._codes_of(state), transpose_b=True)
        return episode.mask_absent_classes(logits, state["class_counts"])

    def _codes_of(self, state):
        if "codes" in state:
            return state["codes"]
        return self._make_codes(tf.shape(state["class_counts"])[0], self.way, training=False)

    def _make_codes(self, num_tasks, way, training):
        """The label of each class of each task as the network sees it: [T, way, label size]."""
        if self.label_encoding == "one_hot":
            # Not tf.eye, whose batch of diagonals OpenVINO does not know.
            codes = tf.one_hot(tf.range(way), way, dtype=self.compute_dtype)
            return tf.tile(tf.expand_dims(codes, 0), [num_tasks, 1, 1])
        if not training:
            return string_codes(num_tasks, way, self.compute_dtype)
        optimizer = getattr(self, "optimizer", None)  # there is none before `compile`
        step = 0 if optimizer is None else tf.cast(optimizer.iterations, tf.int32)
        return string_codes(num_tasks, way, self.compute_dtype, step)

    def get_config(self):
        return {
            **super().get_config(),
            "label_encoding": self.label_encoding,
            "controller_size": self.controller_size,
        }


def dense(units, input_size, **options):
    """A dense layer with its weights made."""
    layer = keras.layers.Dense(units, **options)
    layer.build((None, input_size))
    return layer


def arrived_labels(labels, usable):
    """The label that comes with each image, and after the last: that of the usable row before, zeros where there is none.

    Args:
        labels: float [T, S, L].
        usable: bool [T, S].

    Returns:
        float [T, S + 1, L].
    """
    num_rows = tf.shape(usable)[1]
    position = tf.range(num_rows + 1)
    before = tf.logical_and(usable[:, None, :], position[:, None] > position[None, :-1])  # [T, S + 1, S]
    latest = tf.reduce_max(tf.where(before, position[1:], 0), axis=-1)  # [T, S + 1], one more than its row
    return tf.gather(tf.pad(labels, [[0, 0], [1, 0], [0, 0]]), latest, batch_dims=1)


def where_usable(usable, stepped, state):
    """The entries of `stepped` where `usable`, bool [T] or None for everywhere, those of the same names of `state` elsewhere."""
    if usable is None:
        return stepped

    def choose(values, others):
        return tf.where(tf.reshape(usable, [-1] + [1] * (values.shape.rank - 1)), values, others)

    return {name: choose(values, state[name]) for name, values in stepped.items()}
