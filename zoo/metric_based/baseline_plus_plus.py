"""Baseline++: a cosine classifier of the new classes, fine-tuned on their support set."""

import keras
import tensorflow as tf

from zoo.core import arguments, episode
from zoo.core.embedding import EmbeddingModel

_EPSILON = 1e-12  # squared length of what has no direction: a class without support


@keras.saving.register_keras_serializable("metazoa")
class BaselinePlusPlus(EmbeddingModel):
    """Baseline++: a new cosine classifier on frozen features, fine-tuned on the support set.

    Chen, Liu, Kira, Wang, Huang: A Closer Look at Few-shot Classification, ICLR 2019, https://arxiv.org/abs/1904.04232,
    section 3.2:

        p(n | x)   = softmax over n of s cos(f(x), w_n)
        (w, s)    <- (w, s) - alpha grad of the mean cross-entropy of the support set,    num_steps times

    f is the body of a classifier of the training classes with a head of the same form:
    `python -m trainers.pretrain` with `--config.train.head=cosine`.

    Task state: `class_weights` float32 [T, way, D], `scale` float32 [T], `class_counts` float32 [T, way].
    Not transductive with a backbone of running statistics, as in the paper.

    Differs from the paper: w starts as the mean directions of the classes and not at random, and every step takes the whole
    support set, not 4 rows of it with momentum: the answer depends neither on a seed nor on the order of the rows. One scale is
    learned, where the authors' code learns the length of each w_n beside a constant. `fit` on episodes differentiates
    through the steps, which the paper does not do.

    Args:
        backbone: keras.Model, images [B, *input_shape] -> embeddings [B, D].
        way: classes per task that it answers for; None takes the highest support label of the batch plus one.
        num_steps: gradient steps on the support set; 0 compares with the mean directions.
        learning_rate: alpha, on the mean loss over the support set.
        scale: s at first.

    Raises:
        ValueError: for a number out of range, and for inputs of a wrong rank, shape or dtype.

    Example:

    >>> import zoo
    >>> model = zoo.BaselinePlusPlus(zoo.backbones.conv4(), num_steps=100, learning_rate=0.01)
    """

    supports_variable_way = True
    supports_mixed_precision = True

    def __init__(self, backbone, way=None, num_steps=100, learning_rate=0.01, scale=10.0, **kwargs):
        super().__init__(backbone, way=way, **kwargs)
        self.num_steps = arguments.count("num_steps", num_steps, at_least=0)
        self.learning_rate = arguments.number("learning_rate", learning_rate, above=0)
        self.scale = arguments.number("scale", scale, above=0)

    def adapt_embeddings(self, embeddings, support_y, training=False):
        labels = episode.one_hot(support_y, self.num_ways(support_y), embeddings.dtype)  # [T, S, way]
        counts = tf.reduce_sum(labels, axis=1)  # [T, way]
        directions = tf.math.l2_normalize(embeddings, axis=-1)  # [T, S, D]
        weights = tf.math.l2_normalize(tf.matmul(labels, directions, transpose_a=True), axis=-1, epsilon=_EPSILON)
        scale = tf.fill(tf.shape(counts)[:1], tf.cast(self.scale, embeddings.dtype))

        def step(number, weights, scale):
            by_weights, by_scale = self._slopes(weights, scale, directions, labels, counts)
            return number + 1, weights - self.learning_rate * by_weights, scale - self.learning_rate * by_scale

        start = (tf.constant(0), weights, scale)
        _, weights, scale = tf.while_loop(lambda number, *_: number < self.num_steps, step, start)
        return {"class_weights": weights, "scale": scale, "class_counts": counts}

    def _slopes(self, weights, scale, directions, labels, counts):
        """Gradient of the mean cross-entropy of each task by its weights [T, way, D] and scale [T], written out.

        By s cos it is (p - label) / rows; cos depends on w by the part of the direction at right angles to w, over |w|.
        """
        lengths = tf.sqrt(tf.reduce_sum(weights**2, axis=-1, keepdims=True) + _EPSILON)  # [T, way, 1]
        units = weights / lengths
        cosines = tf.matmul(directions, units, transpose_b=True)  # [T, S, way]
        p = tf.nn.softmax(episode.mask_absent_classes(scale[:, None, None] * cosines, counts))
        rows = tf.reduce_sum(labels, axis=-1, keepdims=True)  # [T, S, 1], 0 for padding
        errors = (p * rows - labels) / tf.maximum(tf.reduce_sum(rows, axis=1, keepdims=True), 1)
        by_units = scale[:, None, None] * tf.matmul(errors, directions, transpose_a=True)  # [T, way, D]
        by_weights = (by_units - units * tf.reduce_sum(by_units * units, axis=-1, keepdims=True)) / lengths
        # A class without support has no error, but a task without any has p of all of them.
        by_weights = tf.where(counts[..., None] > 0, by_weights, 0.0)
        return by_weights, tf.reduce_sum(errors * cosines, axis=[1, 2])

    def predict_embeddings(self, task_state, query_embeddings, training=False):
        units = tf.math.l2_normalize(task_state["class_weights"], axis=-1, epsilon=_EPSILON)
        cosines = tf.matmul(tf.math.l2_normalize(query_embeddings, axis=-1), units, transpose_b=True)  # [T, Q, way]
        logits = task_state["scale"][:, None, None] * cosines
        return episode.mask_absent_classes(logits, task_state["class_counts"])

    def get_config(self):
        options = {"num_steps": self.num_steps, "learning_rate": self.learning_rate, "scale": self.scale}
        return {**super().get_config(), **options}
