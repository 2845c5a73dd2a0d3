"""Methods that compare embeddings: all rows of all tasks pass through the backbone at once."""

import tensorflow as tf

from zoo.core.few_shot_model import FewShotModel, flatten_tasks, unflatten_tasks


class EmbeddingModel(FewShotModel):
    """A few-shot model that is written on embeddings: `adapt_embeddings` and `predict_embeddings`, both pure.

    At inference support and queries are embedded apart. In training they share one forward pass, so that BatchNorm sees
    the batch that the code of the metric-based papers gives it.
    """

    has_embedding = True

    def adapt_embeddings(self, embeddings, support_y, training=False):
        """`adapt` on embedded support rows: [T, S, ...], int64 [T, S] -> task state."""
        raise NotImplementedError(f"{type(self).__name__} must define `adapt_embeddings`.")

    def predict_embeddings(self, task_state, query_embeddings, training=False):
        """`predict_with` on embedded queries: task state, [T, Q, ...] -> logits [T, Q, way]."""
        raise NotImplementedError(f"{type(self).__name__} must define `predict_embeddings`.")

    def embed(self, images, training=False):
        """Embeddings: [T, rows, *input_shape] -> [T, rows, ...]."""
        return unflatten_tasks(self.backbone(flatten_tasks(images), training=training), images)

    def num_ways(self, support_y):
        """`way`, or where that is None the highest support label of the batch plus one: an int or int32 scalar."""
        return tf.cast(tf.reduce_max(support_y) + 1, tf.int32) if self.way is None else self.way

    def adapt(self, support_x, support_y, training=False):
        self.check_support(support_x, support_y)
        return self.adapt_embeddings(self.embed(support_x, training), support_y, training)

    def predict_with(self, task_state, query_x, training=False):
        return self.predict_embeddings(task_state, self.embed(query_x, training), training)

    def call(self, inputs, training=False):
        if not training:
            return super().call(inputs, training=False)
        self.check_inputs(inputs)
        num_support = tf.shape(inputs["support_x"])[1]
        embeddings = self.embed(tf.concat([inputs["support_x"], inputs["query_x"]], axis=1), training=True)
        state = self.adapt_embeddings(embeddings[:, :num_support], inputs["support_y"], training=True)
        return self.predict_embeddings(state, embeddings[:, num_support:], training=True)
