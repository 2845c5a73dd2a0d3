"""The served signatures of a few-shot model.

T tasks, S support rows, Q query rows, N ways, P numbers of task state; P is a + b S for methods that keep something of
each support row. Every input and output leads with T, because TensorFlow Serving merges requests along the first dimension.
"""

import math

import tensorflow as tf

from export.graph_checks import require
from export.limits import Limits
from export.preprocessing import decode_images
from export.requests import RequestChecks
from export.task_state import TaskStateLayout, fingerprint
from export.tracing import traced
from zoo.core import episode, task_loop
from zoo.core.taskwise import map_tasks, usable_support


class ServedModel:
    """A few-shot classifier as functions of tensors: `tf.saved_model.save(served.module, ..., served.signatures)`.

    A label below 0 or not below N means: ignore this row. A task without a usable row is answered from the
    meta-learned initial state. A class without a usable row has probability 0. A `task_state` of another export, a usable
    support row that is not finite or whose file cannot be read, and such a query are answered with probabilities NaN and
    labels -1, and leave the other tasks of the request as they are.

    Args:
        model: a FewShotModel for classification, with a fixed `way`.
        version: of the export, part of the fingerprint that its task states carry.
        invert: whether image files are dark ink on light paper, for models that take ink for 1.
        chosen: names of the signatures to serve; all that the method has when None.
        **limits: of `Limits.of`: `max_rows`, `max_images`, `max_image_pixels`.

    Raises:
        ValueError: for a regression model, one without a fixed `way`, limits below what it needs, or a chosen signature that
            it does not have.
    """

    def __init__(self, model, version=1, invert=False, chosen=None, **limits):
        if model.target_size is not None or model.way is None:
            raise ValueError(
                f"Expected a classification model with a fixed `way`. Received: way={model.way}, "
                f"target_size={model.target_size}"
            )
        self._model, self.invert = model, invert
        # Traced once, for the files of the support set and of the queries.
        self._decode = tf.function(
            lambda files: decode_images(files, model.input_shape, invert, model.image_fit, self.limits.image_pixels),
            input_signature=[tf.TensorSpec((None, None), tf.string)],
            autograph=False,
        )
        # The tf.Variables are saved, and not the Keras object, so that its Python code is no part of the export.
        self.module = tf.Module()
        self.module.weights = [variable.value for variable in model.variables]
        images = tf.TensorSpec((None, None) + model.input_shape, tf.float32)
        labels = tf.TensorSpec((None, None), tf.int64)
        state = traced(model.adapt, images, labels).structured_outputs
        shapes = {name: entry.shape[1:] for name, entry in state.items()}
        self.layout = TaskStateLayout(shapes, fingerprint(model, version))
        self.limits = Limits.of(model, self.layout.row_size, **limits)
        self._checks = RequestChecks(model, self.limits)
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
        # With statistics of the batch an embedding would depend on the images of other tenants.
        if model.has_embedding and not model.transductive:
            flat_images = tf.TensorSpec((None,) + model.input_shape, tf.float32)
            self.signatures["embed"] = self._function(self._embed, images=flat_images)
        # Traced once: task by task it takes seconds, and a proof asks up to a dozen times.
        self.model_answers = tf.function(self._model_answers, input_signature=[images, labels, images], autograph=False)
        unknown = sorted(set(chosen or ()) - set(self.signatures))
        if unknown:
            raise ValueError(f"`signatures` must be among {sorted(self.signatures)}. Received: {unknown}")
        if chosen:
            self.signatures = {name: self.signatures[name] for name in chosen}

    @staticmethod
    def _function(function, **specs):
        specs = {name: tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in specs.items()}
        return traced(function, **specs)

    def _model_answers(self, support_images, support_labels, query_images):
        """What the signatures are compared with, by the model alone: (probabilities [T, Q, N], task state)."""
        with task_loop.task_loop("map"):
            state = self._model.adapt(support_images, support_labels)
            return tf.nn.softmax(self._model.predict_with(state, query_images)), state

    # ---- the signatures

    def _adapt(self, support_images, support_labels):
        images, labels, valid = self._checks.support(support_images, support_labels)
        state = self._model.adapt(images, labels)
        task_state = self.layout.flatten(state)
        return {
            "task_state": tf.where(valid[:, None], task_state, float("nan")),
            "support_loss": tf.where(valid, self._support_loss(state, images, labels), float("nan")),
            "support_count": tf.reduce_sum(tf.cast(labels >= 0, tf.int64), axis=1),
        }

    def _predict(self, task_state, query_images):
        message = f"`task_state` must have {self.layout.describe_size()} numbers per task: a state of this export."
        num_tasks, size = tf.unstack(tf.shape(task_state))
        checks = [require(self.layout.fits(size), message, task_state)]
        if self.layout.row_size:
            rows = self.layout.num_rows(size)
            checks += self._checks.rows("task_state", num_tasks, rows, task_state, self.limits.support_images)
        with tf.control_dependencies(checks):
            state, valid = self.layout.unflatten(tf.identity(task_state))
        return self._answers(lambda queries: self._model.predict_with(state, queries), query_images, num_tasks, valid)

    def _adapt_and_predict(self, support_images, support_labels, query_images):
        images, labels, valid = self._checks.support(support_images, support_labels)
        num_tasks = tf.shape(support_images)[0]
        return self._answers(
            lambda queries: self._model.answer(images, labels, queries), query_images, num_tasks, valid
        )

    def _adapt_and_predict_files(self, support_image_bytes, support_labels, query_image_bytes):
        files = self._checks.files(support_image_bytes, support_labels, query_image_bytes)
        support, query = map(self.decode, files)
        return self._adapt_and_predict(support, support_labels, query)

    def decode(self, files):
        """Image files, string [T, rows] -> float32 [T, rows, *input_shape], as the model was trained on them."""
        return self._decode(files)

    def _embed(self, images):
        rows, valid = self._checks.flat_images(images)
        embeddings = episode.at_least_float32(self._model.backbone(rows, training=False))
        flat = tf.reshape(embeddings, [tf.shape(rows)[0], math.prod(embeddings.shape[1:])])
        return {"embeddings": tf.where(valid[:, None], flat, float("nan"))[: tf.shape(images)[0]]}

    # ---- their parts

    def _answers(self, logits_of, query_images, num_tasks, valid_tasks):
        """Answers out of `logits_of(query images) -> [T, Q, N]`, for as many tasks as the support set or task state has.

        NaN and -1 where a task or a query is not valid, or the numbers overflow. Not an error: it would fail the requests of
        others that the server merged with this one.
        """
        images, valid = self._checks.queries(query_images, num_tasks)
        logits = tf.ensure_shape(logits_of(images), [None, None, self._model.way])
        probabilities = tf.nn.softmax(logits)
        valid = tf.logical_and(valid, valid_tasks[:, None])
        valid = tf.logical_and(valid, tf.reduce_all(tf.math.is_finite(probabilities), axis=-1))
        labels = tf.where(valid, tf.argmax(logits, axis=-1), tf.constant(episode.PADDING_LABEL, tf.int64))
        num_queries = tf.shape(query_images)[1]
        return {
            "probabilities": tf.where(valid[..., None], probabilities, float("nan"))[:, :num_queries],
            "labels": labels[:, :num_queries],
        }

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
