"""Matching Networks."""

import keras
import tensorflow as tf

from zoo.core import arguments, distances, episode
from zoo.core.embedding import EmbeddingModel

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
        support_normalized  size_scale <f, g> / |g|
        squared_euclidean   -size_scale |f - g|^2

    Logits are log p(n | x). Training minimizes their negative over the queries, as in the paper.

    Task state: `keys` float32 [T, S, D], the g(x_i); `labels` float32 [T, S, way], one-hot, zeros for padding;
    `class_counts` float32 [T, way].
    Not transductive with a backbone of running statistics.

    Differs from the paper: c is support_normalized unless asked otherwise. A cosine is between -1 and 1, so that with 5
    support images no class gets more than e^2 / (e^2 + 4) = 0.65 of the attention, and less the more there are: it trains, but
    slowly (79 % 5-way 1-shot on Omniglot after 600 steps). size_scale is 1 for embeddings of up to 64 numbers. The paper's fine-tuning on the support set is left out.

    Args:
        backbone: keras.Model, images [B, *input_shape] -> embeddings [B, D].
        way: classes per task that it answers for; None takes the highest support label of the batch plus one.
        similarity: c, one of the names above.
        scale: factor of scaled_cosine, above 0; the others do not use it.
        size_scale: factor of support_normalized and squared_euclidean, above 0. None, the default: (64 / D)^0.5 and (64 / D)^1.5, as
            the two grow with the size D of the embeddings, and 1 where D is at most 64.

    Raises:
        ValueError: for an unknown `similarity`, a `scale` or `size_scale` that is not above 0, and inputs of a wrong rank, shape or dtype.

    Example:

    >>> import zoo
    >>> model = zoo.MatchingNetwork(zoo.backbones.conv4())
    >>> episodes = zoo.datasets.load("glyphs", "train").episodes(way=20, shot=1, query=5, num_tasks=1, seed=0)
    >>> model.compile(optimizer="adam")
    >>> history = model.fit(episodes, steps_per_epoch=100)
    """

    supports_variable_way = True
    supports_mixed_precision = True
    classes_in_state = "by_row"

    def __init__(self, backbone, way=None, similarity="support_normalized", scale=10.0, size_scale=None, **kwargs):
        super().__init__(backbone, way=way, **kwargs)
        self.similarity = arguments.choice("similarity", similarity, SIMILARITIES)
        self.scale = arguments.number("scale", scale, above=0)
        self.size_scale = None if size_scale is None else arguments.number("size_scale", size_scale, above=0)

    def adapt_embeddings(self, embeddings, support_y, training=False):
        labels = episode.one_hot(support_y, self.num_ways(support_y), embeddings.dtype)  # [T, S, way]
        return {"keys": embeddings, "labels": labels, "class_counts": tf.reduce_sum(labels, axis=1)}

    def predict_embeddings(self, task_state, query_embeddings, training=False):
        keys, labels = task_state["keys"], task_state["labels"]
        c = self._similarities(query_embeddings, keys)  # [T, Q, S]
        log_a = tf.nn.log_softmax(hide_padding(c, labels))  # [T, Q, S]
        # The logarithm of a sum of a would be -inf where all of them underflow.
        of_class = tf.transpose(labels, [0, 2, 1])[:, None] > 0  # [T, 1, way, S]
        log_a = tf.where(of_class, log_a[:, :, None], tf.cast(episode.ABSENT_CLASS_LOGIT, c.dtype))  # [T, Q, way, S]
        return episode.mask_absent_classes(tf.reduce_logsumexp(log_a, axis=-1), task_state["class_counts"])

    def _factor(self):
        """The number that the similarity is multiplied by."""
        if self.similarity in ("cosine", "scaled_cosine"):
            return self.scale if self.similarity == "scaled_cosine" else 1.0
        if self.size_scale is not None:
            return self.size_scale
        power = 1.5 if self.similarity == "squared_euclidean" else 0.5  # <f, g> / |g| grows as |f| does
        return distances.size_scale(self._compared_size(), power)

    def _compared_size(self):
        """D, numbers per row of what is compared."""
        return self.backbone.output_shape[-1]

    def _similarities(self, queries, keys):
        """c of every query and support image: [T, Q, D], [T, S, D] -> [T, Q, S]."""
        if self.similarity == "squared_euclidean":
            return -self._factor() * distances.squared_euclidean(queries, keys)
        if self.similarity != "support_normalized":
            queries = tf.math.l2_normalize(queries, axis=-1)
        return self._factor() * tf.matmul(queries, tf.math.l2_normalize(keys, axis=-1), transpose_b=True)

    def get_config(self):
        return {
            **super().get_config(),
            "similarity": self.similarity,
            "scale": self.scale,
            "size_scale": self.size_scale,
        }


def hide_padding(scores, labels):
    """Scores [T, Q, S] that a softmax over S gives to rows with a label only; one-hot labels [T, S, way]."""
    return episode.hide(scores, tf.reduce_max(labels, axis=-1)[:, None] > 0)
