"""Relation Networks."""

import keras
import tensorflow as tf

from zoo.backbones.relation import conv_initializer
from zoo.core import arguments, episode
from zoo.core.batch_norm import BatchNorm, batch_statistics
from zoo.core.embedding import EmbeddingModel
from zoo.core.few_shot_model import flatten_tasks, unflatten_tasks
from zoo.core.taskwise import map_tasks, usable_support

REDUCTIONS = ("sum", "mean")
LOSSES = ("mse", "cross_entropy")
EVALUATIONS = ("running", "transductive")


@keras.saving.register_keras_serializable("metazoa")
class RelationNetwork(EmbeddingModel):
    """Relation Network: a second network learns to compare a query with a class.

    Sung, Yang, Zhang, Xiang, Torr, Hospedales: Learning to Compare: Relation Network for Few-Shot Learning, CVPR 2018,
    https://arxiv.org/abs/1711.06025, equations 1 and 2:

        C_n     = sum of f(x) over the support images x of class n
        r_{q,n} = g(concat(C_n, f(x_q)))                        from 0 to 1
        loss    = mean over q and n of (r_{q,n} - [y_q = n])^2

    f is the backbone and gives maps. g: 2 x [conv 3x3, BatchNorm, ReLU, max-pool 2], dense 8 with ReLU, dense 1 with sigmoid.

    Logits are log r, so that their argmax is the highest relation and their softmax r_n / (sum of r), which is no calibrated
    probability: r was trained as a regression. With `loss="cross_entropy"` they are g before its sigmoid, and calibrated.

    Task state: `class_maps` float32 [T, way, h, w, C], `class_counts` float32 [T, way].
    Not transductive: in training BatchNorm normalizes by the images and pairs of a step, at inference by its running averages.
    Transductive with evaluation="transductive" or batch statistics, as in the authors' code: each task is normalized by its
    own queries, and a relation depends on the other queries asked with it, and on how many.

    Differs from the paper: what BatchNorm does at inference, and in training support and queries of all tasks share a batch,
    where the authors' code has one for each. It clips the norm of the gradient to 0.5, once for f and
    once for g, and trains 1,000,000 episodes; both are left to the optimizer and the config.

    Args:
        backbone: keras.Model, images [B, *input_shape] -> maps [B, h, w, C], `relation_encoder` in the paper.
        way: classes per task that it answers for; None takes the highest support label of the batch plus one.
        reduce: "sum" (the paper's) or "mean" over the support images of a class. A sum must be asked with the shot of its
            training: others give maps of another size. With the mean a 1-shot model gains from 5 shots.
        loss: "mse" (the paper's) or "cross_entropy" of a softmax over the classes.
        statistics: of the BatchNorm in g, "running" or "batch"; the backbone has its own.
        evaluation: "running" or "transductive" (the authors' code), see above.
        padding: of the convolutions in g, "same" (the authors' code for Omniglot) or "valid" (for miniImageNet).
        hidden_size: units of the first dense layer.

    Raises:
        ValueError: for an unknown option, for a backbone that gives no maps or, with valid padding, maps
            that are too small; for inputs of a wrong rank, shape or dtype.

    Example:

    >>> import zoo
    >>> model = zoo.RelationNetwork(zoo.backbones.relation_encoder(), way=5)
    >>> episodes = zoo.datasets.load("glyphs", "train").episodes(way=5, shot=1, query=5, num_tasks=4, seed=0)
    >>> model.compile(optimizer=keras.optimizers.Adam(1e-3, clipnorm=0.5))
    >>> history = model.fit(episodes, steps_per_epoch=100)
    """

    supports_variable_way = True
    supports_mixed_precision = True
    classes_in_state = "by_class"
    has_embedding = True
    backbone_rank = 4

    def __init__(
        self,
        backbone,
        way=None,
        reduce="sum",
        loss="mse",
        statistics="running",
        padding="same",
        hidden_size=8,
        evaluation="running",
        **kwargs,
    ):
        super().__init__(backbone, way=way, **kwargs)
        self.reduce = arguments.choice("reduce", reduce, REDUCTIONS)
        self.training_loss = arguments.choice("loss", loss, LOSSES)
        self.statistics = statistics
        self.padding = arguments.choice("padding", padding, ("same", "valid"))
        self.hidden_size = arguments.count("hidden_size", hidden_size)
        self.evaluation = arguments.choice("evaluation", evaluation, EVALUATIONS)
        map_shape = backbone.output_shape[1:]
        # A convolution of concat(C_n, f) is the sum of one of C_n and one of f: Q + way of them in place of Q * way.
        self.class_conv = _conv(map_shape[-1], padding, "class_conv")
        self.query_conv = _conv(map_shape[-1], padding, "query_conv")
        # Keras rounds what enters a functional model to the dtype of its Input, float32 where none is named.
        pair = keras.Input(_convolved_shape(map_shape, padding), dtype=self.variable_dtype, name="pair")
        self.class_conv.build((None, *map_shape))
        self.query_conv.build((None, *map_shape))
        self.relation = self._relation_module(pair)

    def _relation_module(self, pair):
        """g after its first convolution: [B, h, w, C] -> [B, 1], before the sigmoid."""
        x = _pool(BatchNorm(self.statistics, name="relation_norm_1")(pair))
        _convolved_shape(x.shape[1:], self.padding)
        x = _conv(x.shape[-1], self.padding, "relation_conv_2")(x)
        x = _pool(BatchNorm(self.statistics, name="relation_norm_2")(x))
        options = {"kernel_initializer": keras.initializers.RandomNormal(stddev=0.01), "bias_initializer": "ones"}
        hidden = keras.layers.Dense(self.hidden_size, activation="relu", name="relation_dense_1", **options)
        # Under a softmax over the classes a bias that they share would be dead weight.
        score = keras.layers.Dense(1, use_bias=self.training_loss == "mse", name="relation_dense_2", **options)
        return keras.Model(pair, score(hidden(keras.layers.Flatten()(x))), name="relation")

    @property
    def batch_norm_mode(self):
        mode = super().batch_norm_mode
        return "transductive" if mode == "running" and self.evaluation == "transductive" else mode

    # ---- the two networks

    def adapt_embeddings(self, embeddings, support_y, training=False):
        return self._class_maps(embeddings, support_y, self.num_ways(support_y))

    def _class_maps(self, embeddings, support_y, way):
        labels = episode.one_hot(support_y, way, embeddings.dtype)  # [T, S, way]
        counts = tf.reduce_sum(labels, axis=1)  # [T, way]
        class_maps = tf.einsum("tsn,tshwc->tnhwc", labels, embeddings)
        if self.reduce == "mean":
            class_maps /= tf.maximum(counts, 1)[..., None, None, None]
        return {"class_maps": class_maps, "class_counts": counts}

    def predict_embeddings(self, task_state, query_embeddings, training=False):
        scores = self.relate(task_state["class_maps"], query_embeddings, training)
        return self._logits(scores, task_state["class_counts"])

    def relate(self, class_maps, query_maps, training=False):
        """g before its sigmoid for every query and class: [T, n, h, w, C], [T, Q, h, w, C] -> [T, Q, n]."""
        classes, queries = (
            unflatten_tasks(conv(flatten_tasks(maps)), maps)
            for conv, maps in ((self.class_conv, class_maps), (self.query_conv, query_maps))
        )
        pairs = classes[:, None] + queries[:, :, None]  # [T, Q, n, h, w, C]
        scores = self.relation(tf.reshape(pairs, [-1, *pairs.shape[3:]]), training=training)
        return episode.at_least_float32(tf.reshape(scores, tf.shape(pairs)[:3]))

    def _logits(self, scores, counts):
        logits = tf.math.log_sigmoid(scores) if self.training_loss == "mse" else scores
        return episode.mask_absent_classes(logits, counts)

    # ---- transductive inference: every task by its own statistics, which no padded row and no absent class may enter

    def adapt(self, support_x, support_y, training=False):
        if training or not self.transductive:
            return super().adapt(support_x, support_y, training)
        support = self.checked_support(support_x, support_y)
        way = self.num_ways(support[1])
        return map_tasks(lambda task: self._adapt_alone(*task, way), support, self.state_signature())

    def predict_with(self, task_state, query_x, training=False):
        if training or not self.transductive:
            return super().predict_with(task_state, query_x, training)
        outputs = tf.TensorSpec([None, self.way], self.variable_dtype)
        task_state = episode.as_state(task_state, self.state_signature())
        query_x = self.checked_queries(query_x, task_state)
        return map_tasks(lambda task: self._predict_alone(*task), (task_state, query_x), outputs)

    def _adapt_alone(self, support_x, support_y, way):
        x, y, weights = usable_support(support_x, support_y, episode.usable_rows(support_y, self.way))
        with batch_statistics():
            embeddings = self.embed(x[None])
        state = self._class_maps(embeddings, tf.where(weights > 0, y, episode.PADDING_LABEL)[None], way)
        return {name: value[0] for name, value in state.items()}

    def _predict_alone(self, state, query_x):
        class_maps, counts = state["class_maps"], state["class_counts"]
        present = tf.logical_or(counts > 0, tf.logical_not(tf.reduce_any(counts > 0)))  # [way]
        present_maps = tf.ensure_shape(tf.boolean_mask(class_maps, present), [None, *class_maps.shape[1:]])
        with batch_statistics():
            scores = self.relate(present_maps[None], self.embed(query_x[None]))[0]  # [Q, present]
        position = tf.maximum(tf.cumsum(tf.cast(present, tf.int32)) - 1, 0)
        return self._logits(tf.gather(scores, position, axis=1)[None], counts[None])[0]

    # ---- all tasks

    def task_objective(self, y, outputs):
        if self.training_loss == "cross_entropy":
            return super().task_objective(y, outputs)
        same = episode.one_hot(y, tf.shape(outputs)[-1], outputs.dtype)  # [T, Q, way]
        errors = tf.math.squared_difference(tf.exp(outputs), same)
        return episode.mean_over_usable(tf.reduce_mean(errors, axis=-1), y)

    def state_signature(self):
        return {
            "class_maps": tf.TensorSpec([self.way, *self.backbone.output_shape[1:]], self.variable_dtype),
            "class_counts": tf.TensorSpec([self.way], self.variable_dtype),
        }

    def get_config(self):
        return {
            **super().get_config(),
            "reduce": self.reduce,
            "loss": self.training_loss,
            "statistics": self.statistics,
            "padding": self.padding,
            "hidden_size": self.hidden_size,
            "evaluation": self.evaluation,
        }


def _conv(filters, padding, name):
    """Without a bias, since BatchNorm follows."""
    return keras.layers.Conv2D(
        filters, 3, padding=padding, use_bias=False, kernel_initializer=conv_initializer(), name=name
    )


def _convolved_shape(shape, padding):
    if padding == "same":
        return shape
    if min(shape[:2]) < 3:
        raise ValueError(f"Maps must be at least 3 x 3 where padding='valid' meets a convolution. Received: {shape}")
    return shape[0] - 2, shape[1] - 2, shape[2]


def _pool(x):
    """ReLU and max-pool 2, in the cheaper order; an axis of one pixel stays as it is."""
    sizes = tuple(min(2, size) for size in x.shape[1:3])
    return keras.layers.ReLU()(keras.layers.MaxPool2D(sizes)(x))
