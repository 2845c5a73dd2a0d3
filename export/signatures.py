"""The served signatures of a few-shot model.

T tasks, S support rows, Q query rows, N ways, P numbers of task state; P is a + b S for methods that keep something of
each support row. Every input and output leads with T, because TensorFlow Serving merges requests along the first dimension.
"""

import math

import tensorflow as tf

from export.graph_checks import append_rows, require
from export.preprocessing import decode_images
from export.task_state import TaskStateLayout, fingerprint
from zoo.core import episode
from zoo.core.taskwise import map_tasks, usable_support


class ServedModel:
    """A few-shot classifier as functions of tensors: `tf.saved_model.save(served.module, ..., served.signatures)`.

    A label below 0 or not below N means: ignore this row. A task without a usable row is answered from the
    meta-learned initial state. A class without a usable row has probability 0. A `task_state` of another export answers
    with probabilities NaN and labels -1, and leaves the other tasks of the request as they are.

    Args:
        model: a FewShotModel for classification, with a fixed `way`.
        version: of the export, part of the fingerprint that its task states carry.
        invert: whether image files are dark ink on light paper, for models that take ink for 1.
        chosen: names of the signatures to serve; all that the method has when None.

    Raises:
        ValueError: for a regression model, one without a fixed `way`, or a chosen signature that it does not have.
    """

    def __init__(self, model, version=1, invert=False, chosen=None):
        if model.target_size is not None or model.way is None:
            raise ValueError(
                f"Expected a classification model with a fixed `way`. Received: way={model.way}, "
                f"target_size={model.target_size}"
            )
        self._model, self.invert = model, invert
        # The tf.Variables are saved, and not the Keras object, so that its Python code is no part of the export.
        self.module = tf.Module()
        self.module.weights = [variable.value for variable in model.variables]
        images = tf.TensorSpec((None, None) + model.input_shape, tf.float32)
        labels = tf.TensorSpec((None, None), tf.int64)
        state = tf.function(model.adapt, autograph=False).get_concrete_function(images, labels).structured_outputs
        shapes = {name: entry.shape[1:] for name, entry in state.items()}
        self.layout = TaskStateLayout(shapes, fingerprint(model, version))
        self.signatures = {
            "adapt": self._function(self._adapt, support_images=images, support_labels=labels),
            "predict": self._function(
                self._predict, task_state=tf.TensorSpec((None, self.layout.size), tf.float32), query_images=images
            ),
            "adapt_and_predict": self._function(
                self._adapt_and_predict, support_images=images, support_labels=labels, query_images=images
            ),
        }
        self.signatures["serving_default"] = self.signatures["adapt_and_predict"]
        if model.input_shape[-1] in (1, 3) and len(model.input_shape) == 3:
            files = tf.TensorSpec((None, None), tf.string)
            self.signatures["adapt_and_predict_image_bytes"] = self._function(
                self._adapt_and_predict_files, support_image_bytes=files, support_labels=labels, query_image_bytes=files
            )
        if model.has_embedding:
            flat_images = tf.TensorSpec((None,) + model.input_shape, tf.float32)
            self.signatures["embed"] = self._function(self._embed, images=flat_images)
        unknown = sorted(set(chosen or ()) - set(self.signatures))
        if unknown:
            raise ValueError(f"`signatures` must be among {sorted(self.signatures)}. Received: {unknown}")
        if chosen:
            self.signatures = {name: self.signatures[name] for name in chosen}

    @staticmethod
    def _function(function, **specs):
        specs = {name: tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in specs.items()}
        return tf.function(function, autograph=False).get_concrete_function(**specs)

    # ---- the signatures

    def _adapt(self, support_images, support_labels):
        images, labels = self._checked_support(support_images, support_labels)
        state = self._model.adapt(images, labels)
        usable = episode.usable_rows(labels, self._model.way)
        return {
            "task_state": self.layout.flatten(state),
            "support_loss": self._support_loss(state, images, tf.where(usable, labels, episode.PADDING_LABEL)),
            "support_count": tf.reduce_sum(tf.cast(usable, tf.int64), axis=1),
        }

    def _predict(self, task_state, query_images):
        message = f"`task_state` must have {self.layout.describe_size()} numbers per task: a state of this export."
        fits = self.layout.fits(tf.shape(task_state)[1])
        with tf.control_dependencies([require(fits, message, task_state)]):
            state, valid = self.layout.unflatten(tf.identity(task_state))
        answers = self._answers(
            lambda queries: self._model.predict_with(state, queries), query_images, tf.shape(task_state)[0]
        )
        # Not an error: it would fail the requests of others that the server merged with this one.
        return {
            "probabilities": tf.where(valid[:, None, None], answers["probabilities"], float("nan")),
            "labels": tf.where(valid[:, None], answers["labels"], tf.constant(episode.PADDING_LABEL, tf.int64)),
        }

    def _adapt_and_predict(self, support_images, support_labels, query_images):
        images, labels = self._checked_support(support_images, support_labels)
        return self._answers(
            lambda queries: self._model.answer(images, labels, queries), query_images, tf.shape(support_images)[0]
        )

    def _adapt_and_predict_files(self, support_image_bytes, support_labels, query_image_bytes):
        support, query = self.decode(support_image_bytes), self.decode(query_image_bytes)
        return self._adapt_and_predict(support, support_labels, query)

    def decode(self, files):
        """Image files, string [T, rows] -> float32 [T, rows, *input_shape], as the model was trained on them."""
        return decode_images(files, self._model.input_shape, self.invert)

    def _embed(self, images):
        message = f"`images` must be [B, {self._image_size()}] with B > 0."
        fits = tf.reduce_all(tf.equal(tf.shape(images)[1:], self._model.input_shape))
        with tf.control_dependencies([require(tf.logical_and(fits, tf.shape(images)[0] > 0), message, images)]):
            embeddings = self._model.backbone(tf.identity(images), training=False)
        return {"embeddings": tf.reshape(embeddings, [tf.shape(images)[0], math.prod(embeddings.shape[1:])])}

    # ---- their parts

    def _checked_support(self, images, labels):
        """The support set with its shapes checked; where it has no row, one row to ignore."""
        message = "`support_labels` must be [T, S], one label for each row of `support_images`."
        same = tf.reduce_all(tf.equal(tf.shape(images)[:2], tf.shape(labels)))
        with tf.control_dependencies([require(same, message, labels), self._check_images("support_images", images)]):
            missing = tf.cast(tf.equal(tf.shape(labels)[1], 0), tf.int32)
            images = append_rows(tf.identity(images), missing)
            labels = tf.pad(labels, [[0, 0], [0, missing]], constant_values=episode.PADDING_LABEL)
        return images, labels

    def _check_images(self, name, images):
        fits = tf.reduce_all(tf.equal(tf.shape(images)[2:], self._model.input_shape))
        message = f"`{name}` must be [T, rows, {self._image_size()}] with T > 0."
        return require(tf.logical_and(fits, tf.shape(images)[0] > 0), message, images)

    def _image_size(self):
        return ", ".join(str(size) for size in self._model.input_shape)

    def _answers(self, logits_of, query_images, num_tasks):
        """Answers out of `logits_of(query images) -> [T, Q, N]`, for as many tasks as the support set or task state has."""
        message = "`query_images` must have as many tasks as the support set or task state."
        same = require(tf.equal(tf.shape(query_images)[0], num_tasks), message, query_images)
        with tf.control_dependencies([same, self._check_images("query_images", query_images)]):
            num_queries = tf.shape(query_images)[1]
            # Ops of the network may not take zero rows: ask about one blank image, and drop the answer.
            images = append_rows(tf.identity(query_images), tf.cast(tf.equal(num_queries, 0), tf.int32))
        logits = logits_of(images)[:, :num_queries]
        return {"probabilities": tf.nn.softmax(logits), "labels": tf.argmax(logits, axis=-1)}

    def _support_loss(self, state, images, labels):
        """Cross-entropy of the adapted model on its own support rows: [T]."""
        if not self._model.transductive:
            return episode.cross_entropy(labels, self._model.predict_with(state, images))

        def one_task(task):  # rows to ignore would change the statistics of the batch
            task_state, task_images, task_labels = task
            rows, row_labels, weights = usable_support(task_images, task_labels, task_labels >= 0)
            one_state = {name: value[None] for name, value in task_state.items()}
            logits = self._model.predict_with(one_state, rows[None])[0]
            return episode.cross_entropy(tf.where(weights > 0, row_labels, episode.PADDING_LABEL), logits)

        return map_tasks(one_task, (state, images, labels), tf.TensorSpec([], tf.float32))
