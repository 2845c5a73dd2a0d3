"""Siamese networks."""

import keras
import tensorflow as tf

from zoo.core import arguments, episode
from zoo.core.embedding import EmbeddingModel
from zoo.core.metrics import EpisodeMean


@keras.saving.register_keras_serializable("metazoa")
class SiameseNetwork(EmbeddingModel):
    """Siamese network: learns whether two images are of one class; a query gets the class of its likeliest partner.

    Koch, Zemel, Salakhutdinov: Siamese Neural Networks for One-shot Image Recognition, ICML deep learning workshop
    2015, https://www.cs.cmu.edu/~rsalakhu/papers/oneshot1.pdf, sections 3.1, 3.2 and 4.3. With h the backbone, its two
    twins sharing all weights, and same = 1 for two images of one class:

        p(x1, x2)      = sigmoid(sum over j of a_j |h_j(x1) - h_j(x2)| + b)
        L(x1, x2)      = -same log p(x1, x2) - (1 - same) log(1 - p(x1, x2)) + sum over layers j of lambda_j |W_j|^2
        class of query = class of the support image x2 with the highest p(query, x2)

    Task state: `embeddings` float32 [T, S, D], `labels` float32 [T, S, way] (one-hot, zeros for padding),
    `class_counts` float32 [T, way].
    Not transductive with a backbone of running statistics or without BatchNorm, as in the paper.

    Training pairs are made of the episode: each query with each support image. Pairs of one class and pairs of two
    weigh half each, as in the paper, which draws half of its pairs from each kind: with way 2, shot 1 and one query per
    class the four pairs are such a draw; a larger way adds pairs of two classes for no more than their embeddings.

    `verify` gives p of pairs. Training and evaluation report `verification_accuracy`, the share of pairs on the right side of
    p = 0.5, of each query with each support image, both kinds at half of the weight.

    The logits of a class are sum_j a_j |h_j(query) - h_j(x2)| + b of its best support image, the log odds of p: argmax
    is the paper's decision, softmax over classes was not trained and is not calibrated.

    Differs from the paper: b, which its formula lacks and its ports have (`use_bias`): without it the p of an image
    with itself is 0.5. The paper prints the log-likelihood in its objective with a plus sign. It has no tasks of more
    than one shot: here the best of a class's support images counts. Pairs of more than two classes, see above.

    Args:
        backbone: keras.Model, images [B, *input_shape] -> embeddings [B, D]. `zoo.backbones.koch` is the paper's.
        way: classes per task that it answers for; None takes the highest support label of the batch plus one.
        use_bias: whether b exists. False in the paper's formula.
        similarity_initializer: Keras initializer of a, as a name or its config. None: N(0, 0.2), the paper's for its
            fully connected layers.
        l2: dict, name of layers of the backbone (or "similarity") -> lambda of their kernels. The paper searched one from
            0 to 0.1 for each layer, and publishes none of them. None: no penalty.

    Raises:
        ValueError: for a layer in `l2` that does not exist or has no kernel, or a negative lambda; for inputs of a
            wrong rank, shape or dtype.

    Example:

    >>> import zoo
    >>> model = zoo.SiameseNetwork(zoo.backbones.conv4(), l2={"similarity": 1e-4})
    >>> episodes = zoo.datasets.load("glyphs", "train").episodes(way=20, shot=1, query=1, num_tasks=2, seed=0)
    >>> model.compile(optimizer="adam")
    >>> history = model.fit(episodes, steps_per_epoch=100)
    """

    supports_variable_way = True
    supports_mixed_precision = True
    classes_in_state = "by_row"

    def __init__(self, backbone, way=None, use_bias=True, similarity_initializer=None, l2=None, **kwargs):
        super().__init__(backbone, way=way, **kwargs)
        if similarity_initializer is None:
            similarity_initializer = keras.initializers.RandomNormal(0.0, 0.2)
        self.use_bias = arguments.flag("use_bias", use_bias)
        self.similarity_initializer = arguments.initializer("similarity_initializer", similarity_initializer)
        if not isinstance(l2, (dict, type(None))):
            raise ValueError(f"`l2` must be a dict from names of layers to numbers, or None. Received: l2={l2!r}")
        self.l2 = {
            name: float(arguments.number(f"l2[{name!r}]", weight, at_least=0)) for name, weight in (l2 or {}).items()
        }
        self.similarity = keras.layers.Dense(
            1,
            use_bias=use_bias,
            kernel_initializer=self.similarity_initializer,
            bias_initializer=keras.initializers.RandomNormal(0.5, 0.01),
            name="similarity",
            dtype=self.variable_dtype,
        )
        self.similarity.build((None, backbone.output_shape[-1]))
        self._check_l2()
        self.additional_metrics = [EpisodeMean("verification_accuracy")]

    def _check_l2(self):
        known = {}  # two networks of one builder inside of the backbone have layers of the same names
        for layer in (*self.backbone._flatten_layers(), self.similarity):
            if hasattr(layer, "kernel"):
                known.setdefault(layer.name, []).append(layer)
        for name, weight in self.l2.items():
            if name not in known:
                raise ValueError(
                    f"`l2` must name layers with a kernel, of {sorted(known)}. Received: {name!r}: {weight}"
                )
        self._penalized = [(layer, weight) for name, weight in self.l2.items() for layer in known[name]]

    def verify(self, x1, x2):
        """p(x1, x2), the probability that two images are of one class, pair by pair.

        Args:
            x1, x2: float [..., *input_shape], of one shape: [B, *input_shape], with tasks in front, or one pair alone.

        Returns:
            float [...], from 0 to 1.

        Raises:
            ValueError: where they are of another shape or type.
        """
        x1, x2 = tf.convert_to_tensor(x1), tf.convert_to_tensor(x2)
        rank = len(self.input_shape)
        for name, x in (("x1", x1), ("x2", x2)):
            if (
                not x.dtype.is_floating
                or not x.shape[-rank:].is_compatible_with(self.input_shape)
                or x.shape != x1.shape
            ):
                wanted = ", ".join(["...", *map(str, self.input_shape)])
                raise ValueError(
                    f"`{name}` must be float [{wanted}], both of one shape. Received: dtype={x.dtype.name}, shape={x.shape}"
                )
        pairs = tf.cast(tf.stack([x1, x2]), self.compute_dtype)
        h = self.backbone(tf.reshape(pairs, [-1, *self.input_shape]), training=False)
        h_1, h_2 = tf.split(h, 2)
        log_odds = self.similarity(tf.abs(h_1 - h_2))
        return tf.sigmoid(tf.reshape(log_odds, tf.shape(x1)[: tf.rank(x1) - rank]))

    def similarity_logits(self, query_embeddings, support_embeddings):
        """Log odds of p for each pair of rows: [T, Q, D], [T, S, D] -> [T, Q, S]."""
        differences = tf.abs(query_embeddings[:, :, None] - support_embeddings[:, None])  # [T, Q, S, D]
        return self.similarity(differences)[..., 0]

    def adapt_embeddings(self, embeddings, support_y, training=False):
        labels = episode.one_hot(support_y, self.num_ways(support_y), embeddings.dtype)  # [T, S, way]
        return {"embeddings": embeddings, "labels": labels, "class_counts": tf.reduce_sum(labels, axis=1)}

    def predict_embeddings(self, task_state, query_embeddings, training=False):
        return self._best_pairs(task_state, self.similarity_logits(query_embeddings, task_state["embeddings"]))

    def _best_pairs(self, task_state, pair_logits):
        """Logits of the best support image of each class: [T, Q, S] -> [T, Q, way]."""
        members = task_state["labels"][:, None] > 0  # [T, 1, S, way]
        candidates = tf.where(members, pair_logits[..., None], pair_logits.dtype.min)  # [T, Q, S, way]
        return episode.mask_absent_classes(tf.reduce_max(candidates, axis=2), task_state["class_counts"])

    def training_outputs(self, x, y, training=True):
        """Pairs of each query with each support image: 1 for one class, 0 for two, -1 for padding, and their log odds."""
        x = self.checked_inputs(x)
        support, queries = self.embed_together(x["support_x"], x["query_x"], training)
        state = self.adapt_embeddings(support, x["support_y"])
        pair_logits = self.similarity_logits(queries, state["embeddings"])  # [T, Q, S]
        labels = pair_labels(y, x["support_y"])
        if training:
            self._update_verification(pair_logits, labels)
        return labels, pair_logits, self._best_pairs(state, pair_logits)

    def task_objective(self, y, outputs):
        """Binary cross-entropy over the pairs of each task, and the penalty on the weights."""
        return pair_losses(outputs, y) + self.penalty()

    def answer_in_evaluation(self, x, y):
        x = self.checked_inputs(x)
        state = self.adapt(x["support_x"], x["support_y"])
        pair_logits = self.similarity_logits(self.embed_queries(x["query_x"]), state["embeddings"])
        self._update_verification(pair_logits, pair_labels(y, x["support_y"]))
        return self._best_pairs(state, pair_logits)

    def _update_verification(self, pair_logits, labels):
        right = tf.cast((pair_logits > 0) == (labels == 1), pair_logits.dtype)
        both = tf.reduce_all(
            [tf.reduce_any(labels == kind, axis=[1, 2]) for kind in (0, 1)], axis=0
        )  # tasks with pairs
        (metric,) = self.additional_metrics
        metric.update_state(tf.boolean_mask(mean_over_kinds(right, labels), both))

    def penalty(self):
        """sum over layers j of lambda_j |W_j|^2, biases left out."""
        terms = [weight * tf.reduce_sum(tf.square(layer.kernel)) for layer, weight in self._penalized]
        return tf.add_n(terms) if terms else tf.constant(0.0, self.variable_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "use_bias": self.use_bias,
            "similarity_initializer": keras.initializers.serialize(self.similarity_initializer),
            "l2": self.l2,
        }


def pair_labels(query_y, support_y):
    """1 for two rows of one class, 0 for two classes, -1 where one is padding: int64 [T, Q], [T, S] -> [T, Q, S]."""
    query_y, support_y = query_y[:, :, None], support_y[:, None]
    usable = tf.logical_and(query_y >= 0, support_y >= 0)
    return tf.where(usable, tf.cast(query_y == support_y, tf.int64), episode.PADDING_LABEL)


def pair_losses(pair_logits, labels):
    """Binary cross-entropy of each task over its pairs of usable rows, both kinds at half of the weight: [T].

    A kind that a task does not have counts 0.

    Args:
        pair_logits: float [T, Q, S], log odds of being of one class.
        labels: int64 [T, Q, S], as from `pair_labels`.
    """
    targets = tf.cast(labels == 1, pair_logits.dtype)
    return mean_over_kinds(tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=pair_logits), labels)


def mean_over_kinds(values, labels):
    """Mean of the means over pairs of one class and over pairs of two, 0 for a kind that is not there: [T, Q, S] -> [T]."""

    def mean_over(kind):
        weights = tf.cast(labels == kind, values.dtype)
        total = tf.reduce_sum(weights * values, axis=[1, 2])
        return total / tf.maximum(tf.reduce_sum(weights, axis=[1, 2]), 1)

    return 0.5 * (mean_over(1) + mean_over(0))
