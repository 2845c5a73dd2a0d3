"""Methods that compare embeddings: all rows of all tasks pass through the backbone at once."""

import tensorflow as tf

from zoo.core import episode, gradients
from zoo.core.few_shot_model import FewShotModel, flatten_tasks, unflatten_tasks
from zoo.core.replica_statistics import over_replicas
from zoo.core.taskwise import map_tasks, usable_support


class EmbeddingModel(FewShotModel):
    """A few-shot model that is written on embeddings: `adapt_embeddings` and `predict_embeddings`, both pure.

    In training the support set and the queries share one forward pass, so that BatchNorm sees the batch that the code of
    the metric-based papers gives it. At inference they do so too where that changes no answer. Where it does, since BatchNorm
    normalizes by its batch, the support rows of each task are a batch, without the padded ones, and its queries another: the
    answers to a task do not depend on the tasks that are asked with it.
    """

    has_embedding = True
    # Whether BatchNorm takes the statistics of a training step over all replicas of tf.distribute, so that any number of them
    # trains the same weights. False: each replica normalizes by its own tasks, without waiting for the others in each layer.
    statistics_over_replicas = True

    def adapt_embeddings(self, embeddings, support_y, training=False):
        """`adapt` on embedded support rows: [T, S, ...], int64 [T, S] -> task state."""
        raise NotImplementedError(f"{type(self).__name__} must define `adapt_embeddings`.")

    def predict_embeddings(self, task_state, query_embeddings, training=False):
        """`predict_with` on embedded queries: task state, [T, Q, ...] -> logits [T, Q, way]."""
        raise NotImplementedError(f"{type(self).__name__} must define `predict_embeddings`.")

    def training_outputs(self, x, y, training=True):
        """(y and outputs of `task_objective`, query logits [T, Q, way]) of an episode; they may have rows for other questions."""
        logits = self(x, training=training)
        return y, logits, logits

    def compute_gradients(self, x, y, scale_loss=tf.identity):
        with over_replicas(self.statistics_over_replicas):
            with tf.GradientTape() as tape:
                targets, outputs, logits = self.training_outputs(x, y)
                loss = tf.reduce_mean(self.task_objective(targets, outputs))
                scaled = scale_loss(loss)
            return loss, logits, gradients.gradient(tape, scaled, self.trainable_variables)

    def embed(self, images, training=False):
        """Embeddings: [T, rows, *input_shape] -> [T, rows, ...], in float32 where the backbone computes in half precision."""
        embeddings = self.backbone(flatten_tasks(images), training=training)
        return unflatten_tasks(episode.at_least_float32(embeddings), images)

    def embed_support(self, images, labels, training=False):
        """`embed` of support rows, int64 labels [T, S]; rows to ignore get zeros or anything."""
        if training or not self.transductive:
            return self.embed(images, training)
        return self._embed_by_task(images, episode.usable_rows(labels, self.way))

    def embed_queries(self, images, training=False):
        """`embed` of queries."""
        if training or not self.transductive:
            return self.embed(images, training)
        return self._embed_by_task(images, tf.ones(tf.shape(images)[:2], tf.bool))

    def _embed_by_task(self, images, usable):
        """Embeddings of the usable rows of each task, by the statistics of these alone: [T, rows, ...]."""

        def one_task(task):
            rows, kept = task
            x, places, _ = usable_support(rows, tf.range(tf.shape(rows)[0]), kept)
            embeddings = self.embed(x[None])[0]
            shape = tf.concat([tf.shape(kept), tf.shape(embeddings)[1:]], axis=0)
            return tf.ensure_shape(tf.scatter_nd(places[:, None], embeddings, shape), spec.shape)

        spec = tf.TensorSpec([images.shape[1], *self.backbone.output_shape[1:]], self.variable_dtype)
        return map_tasks(one_task, (images, usable), spec)

    def num_ways(self, support_y):
        """`way`, or where that is None the highest support label of the batch plus one: an int or int32 scalar."""
        return tf.cast(tf.reduce_max(support_y) + 1, tf.int32) if self.way is None else self.way

    def adapt(self, support_x, support_y, training=False):
        support_x, support_y = self.checked_support(support_x, support_y)
        return self.adapt_embeddings(self.embed_support(support_x, support_y, training), support_y, training)

    def predict_with(self, task_state, query_x, training=False):
        task_state = episode.as_state(task_state)
        query_x = self.checked_queries(query_x, task_state)
        embeddings = self.embed_queries(query_x, training)
        try:
            return self.predict_embeddings(task_state, embeddings, training)
        except KeyError as error:
            if error.args[0] in task_state:
                raise
            raise ValueError(
                f"`task_state` must have {error}, as `adapt` of this model returns it. Received: entries {sorted(task_state)}"
            ) from error

    def embed_together(self, support_x, query_x, training=False):
        """Embeddings of the support set and of the queries of each task, in one forward pass."""
        embeddings = self.embed(tf.concat([support_x, query_x], axis=1), training)
        num_support = tf.shape(support_x)[1]
        return embeddings[:, :num_support], embeddings[:, num_support:]

    def answer(self, support_x, support_y, query_x, training=False):
        if not training and self.transductive:
            return super().answer(support_x, support_y, query_x)
        support, queries = self.embed_together(support_x, query_x, training)
        return self.predict_embeddings(self.adapt_embeddings(support, support_y, training), queries, training)
