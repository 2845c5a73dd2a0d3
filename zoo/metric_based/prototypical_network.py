"""Prototypical Networks."""

import math

import keras
import tensorflow as tf

from zoo.core import arguments, distances, episode
from zoo.core.embedding import EmbeddingModel

DISTANCES = ("squared_euclidean", "cosine")


@keras.saving.register_keras_serializable("metazoa")
class PrototypicalNetwork(EmbeddingModel):
    """Prototypical Network: a class is the mean of its embedded support images.

    Snell, Swersky, Zemel: Prototypical Networks for Few-shot Learning, NeurIPS 2017, https://arxiv.org/abs/1703.05175,
    equations 1 and 2, with a factor s:

        c_n      = mean of f(x) over the support images x of class n
        p(n | x) = softmax over n of -s d(f(x), c_n)

    d, by `distance`:

        squared_euclidean   |f - c|^2                  the paper's choice
        cosine              1 - <f, c> / (|f| |c|)     what it compares with: worse in its section 3

    Task state: `prototypes` float32 [T, way, D], `class_counts` float32 [T, way].
    Not transductive with a backbone of running statistics, as in the paper.

    Differs from the paper: s, which is 1 for embeddings of up to 64 numbers, as on Omniglot, and smaller for larger ones, see
    `distance_scale`; the paper has no factor. `zoo.backbones.conv4` has no bias in front of BatchNorm, where it is dead
    weight, and BatchNorm adds 1e-3 to the variance, where the authors' code adds 1e-5. The paper trains on the validation
    classes too before it is tested; the configs do not.

    Args:
        backbone: keras.Model, images [B, *input_shape] -> embeddings [B, D].
        way: classes per task that it answers for; None takes the highest support label of the batch plus one, so that a
            model trained 60-way answers 5-way tasks.
        distance: d, one of the names above.
        distance_scale: s, a number above 0, or "learned": a weight, kept as its logarithm, that starts from the default. None,
            the default: (64 / D)^1.5, and 1 where D is at most 64 or the distance is a cosine. TADAM (Oreshkin, Rodriguez, Lacoste,
            NeurIPS 2018, https://arxiv.org/abs/1805.10123) learns such a factor.

    Raises:
        ValueError: for an unknown `distance`, another `distance_scale` and for inputs of a wrong rank, shape or dtype.

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

    def __init__(self, backbone, way=None, distance="squared_euclidean", distance_scale=None, **kwargs):
        super().__init__(backbone, way=way, **kwargs)
        self.distance = arguments.choice("distance", distance, DISTANCES)
        if not isinstance(distance_scale, (str, type(None))):
            distance_scale = arguments.number("distance_scale", distance_scale, above=0)
        elif distance_scale not in (None, "learned"):
            raise ValueError(
                f"`distance_scale` must be a number above 0, 'learned' or None. Received: distance_scale={distance_scale!r}"
            )
        self.distance_scale = distance_scale
        fixed = distance_scale is not None and distance_scale != "learned"
        default = distances.size_scale(backbone.output_shape[-1]) if distance == "squared_euclidean" else 1.0
        self._fixed_scale = float(distance_scale) if fixed else default
        self.log_scale = None
        if distance_scale == "learned":
            start = keras.initializers.Constant(math.log(default))
            self.log_scale = self.add_weight(name="log_distance_scale", shape=(), initializer=start)

    def scale(self):
        """s, a number or a scalar tensor."""
        return self._fixed_scale if self.log_scale is None else tf.exp(self.log_scale)

    def adapt_embeddings(self, embeddings, support_y, training=False):
        prototypes, counts = episode.class_means(embeddings, support_y, self.num_ways(support_y))
        return {"prototypes": prototypes, "class_counts": counts}

    def predict_embeddings(self, task_state, query_embeddings, training=False):
        distance = distances.squared_euclidean if self.distance == "squared_euclidean" else distances.cosine
        logits = -self.scale() * distance(query_embeddings, task_state["prototypes"])  # [T, Q, way]
        return episode.mask_absent_classes(logits, task_state["class_counts"])

    def get_config(self):
        return {**super().get_config(), "distance": self.distance, "distance_scale": self.distance_scale}
