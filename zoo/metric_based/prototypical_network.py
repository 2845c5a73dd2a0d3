"""Prototypical Networks."""

import keras
import tensorflow as tf

from zoo.core import distances, episode
from zoo.core.embedding import EmbeddingModel

DISTANCES = ("squared_euclidean", "cosine")


@keras.saving.register_keras_serializable("metazoa")
class PrototypicalNetwork(EmbeddingModel):
    """Prototypical Network: a class is the mean of its embedded support images.

    Snell, Swersky, Zemel: Prototypical Networks for Few-shot Learning, NeurIPS 2017, https://arxiv.org/abs/1703.05175,
    equations 1 and 2:

        c_n      = mean of f(x) over the support images x of class n
        p(n | x) = softmax over n of -d(f(x), c_n)

    d, by `distance`:

        squared_euclidean   |f - c|^2                  the paper's choice
        cosine              1 - <f, c> / (|f| |c|)     what it compares with: worse in its section 3

    Task state: `prototypes` float32 [T, way, D], `class_counts` float32 [T, way].
    Not transductive with a backbone of running statistics, as in the paper.

    Differs from the paper: nothing in the rule. `zoo.backbones.conv4` has no bias in front of BatchNorm, where it is dead
    weight, and BatchNorm adds 1e-3 to the variance, where the authors' code adds 1e-5. The paper trains on the validation
    classes too before it is tested; the configs do not.

    Args:
        backbone: keras.Model, images [B, *input_shape] -> embeddings [B, D].
        way: classes per task that it answers for; None takes the highest support label of the batch plus one, so that a
            model trained 60-way answers 5-way tasks.
        distance: d, one of the names above.

    Raises:
        ValueError: for an unknown `distance` and for inputs of a wrong rank, shape or dtype.

    Example:

    >>> import zoo
    >>> model = zoo.PrototypicalNetwork(zoo.backbones.conv4())
    >>> episodes = zoo.datasets.load("glyphs", "train").episodes(way=20, shot=1, query=5, num_tasks=1, seed=0)
    >>> model.compile(optimizer="adam")
    >>> history = model.fit(episodes, steps_per_epoch=100)
    """

    supports_variable_way = True
    supports_mixed_precision = True
    classes_in_state = "by_class"

    def __init__(self, backbone, way=None, distance="squared_euclidean", **kwargs):
        super().__init__(backbone, way=way, **kwargs)
        if distance not in DISTANCES:
            raise ValueError(f"`distance` must be one of {DISTANCES}. Received: distance={distance!r}")
        self.distance = distance

    def adapt_embeddings(self, embeddings, support_y, training=False):
        labels = episode.one_hot(support_y, self.num_ways(support_y), embeddings.dtype)  # [T, S, way]
        counts = tf.reduce_sum(labels, axis=1)  # [T, way]
        sums = tf.matmul(labels, embeddings, transpose_a=True)  # [T, way, D]
        return {"prototypes": sums / tf.maximum(counts, 1)[..., None], "class_counts": counts}

    def predict_embeddings(self, task_state, query_embeddings, training=False):
        distance = distances.squared_euclidean if self.distance == "squared_euclidean" else distances.cosine
        logits = -distance(query_embeddings, task_state["prototypes"])  # [T, Q, way]
        return episode.mask_absent_classes(logits, task_state["class_counts"])

    def get_config(self):
        return {**super().get_config(), "distance": self.distance}
