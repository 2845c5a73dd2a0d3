"""Meta Networks."""

import keras
import tensorflow as tf

from zoo.backbones.conv5 import PAPER_INITIALIZER
from zoo.core import arguments, episode
from zoo.core.convolution import convolve
from zoo.core.row_order import class_balanced_order
from zoo.core.taskwise import TaskwiseModel
from zoo.model_based.gradient_networks import GradientLSTM, GradientMLP, gradient_features
from zoo.model_based.representation_losses import (
    chunk_cross_entropy,
    chunk_rows,
    pairwise_loss,
    row_losses,
    verification_loss,
)
from zoo.model_based.row_weights import (
    check_chain,
    key_kernels,
    row_convolution,
    row_gradients,
    row_product,
    run_chain,
    split_weights,
)

REPRESENTATION_LOSSES = ("cross_entropy", "pairwise", "verification")
COSINE_EPSILON = 1e-6


@keras.saving.register_keras_serializable("metazoa")
class MetaNetwork(TaskwiseModel):
    """Meta Network: networks that turn gradients on the support set into fast weights beside the slow ones.

    Munkhdalai, Yu: Meta Networks, ICML 2017, https://arxiv.org/abs/1703.00837, algorithm 1, equations 1 to 12. u is the
    representation network and b the base learner, both with slow weights and of one architecture: backbone, hidden layer,
    softmax layer. d is an LSTM and m a network of three layers, both run over each coordinate of a gradient:

        Q*   = d(G, {grad_Q L_c(u(Q, x'))}),  c = 1 .. num_chunks          fast weights of the task
        W*_i = m(Z, grad_W L(b(W, x'_i), y'_i)),  r'_i = u(Q, Q*, x'_i)     memory and its keys, one per support row
        W*   = sum over i of softmax_i(cosine(r'_i, r)) W*_i,  r = u(Q, Q*, x)      fast weights of the query x
        p(n | x) = softmax of b(W, W*, x)

    A layer with both weights gives ReLU(slow) + ReLU(fast) (section 3.3); the softmax layer, and the hidden layer of u, whose
    output is the key r, give slow + fast. m and d see a gradient g as [max(log|g| / 7, -1), clip(e^7 g, -1, 1)], a constant:
    no second derivative. Conv and dense weights have an m and a d of their own. The query loss trains W, Q, Z and G.
    In mixed precision the backbone's layers compute in half, under slow weights and fast ones; gradients, m, d, keys, attention, fast
    weights and the dense layers are float32.

    Task state: `keys` float32 [T, S, D], `memory` float32 [T, S, number of weights of b], `task_weights` float32
    [T, weights of u that make the key], `usable` float32 [T, S], `class_counts` float32 [T, way].
    Not transductive: a query reads its own fast weights.

    Differs from the paper: the loss is the mean over queries (the code sums). Biases of m and d start at 0, and not
    uniformly, and `odd_start`: what d or m adds to all fast weights alike, nothing normalizes, and where it is below 0 the
    fast filters are silent behind their ReLU and get no gradient. So it was for d in 2 of 6 starts without it.
    The softmax layer of u, which only makes the gradients that d sees, gets no gradient in the paper either, and is a weight
    that is not trainable. The losses over pairs take all pairs of a chunk, and not random ones, so that adaptation has no
    randomness; the pairwise one has the form with a margin (Hadsell et al. 2006). The verification loss is that of a survey
    (Huisman, van Rijn, Plaat: A Survey of Deep Meta-Learning, 2021, section 5.3); its w is not trained for the same reason as
    the softmax layer, and starts below 0, so that the farther apart two keys are, the less are they of one class.

    Args:
        backbone: keras.Model, images [B, *input_shape] -> [B, D]; a chain of Conv2D without bias, stride 1 and padding
            "same", each with a plain ReLU after it, and of layers without weights and randomness (no Dropout: every row has
            filters of its own). `conv5` in the paper. It is that of b; u has a copy with weights of its own.
        way: classes per task.
        num_chunks: the support rows make this many chunks of nearly equal size, one step of d each; a task of fewer rows has as
            many chunks as rows, and for the losses over pairs half as many, so that every chunk has a pair. In training the
            rows come in their order, which the sampler shuffles; at inference the classes take turns, and within a class the
            order follows from the images, so that the answer does not depend on the order of the rows.
        representation_loss: "cross_entropy", of the paper's code; or "pairwise", contrastive, of the paper's text where
            classes have several examples; "verification", the cross-entropy of sigmoid(w |u(x) - u(x')|) with whether x and x'
            are of one class.
        hidden_units: of m and d; 20 in the paper.
        gradient_scale: the 7 above.
        initializer: Keras initializer of all dense weights and of those of m and d, as a name or its config; None is the
            paper's, uniform from -0.1 to 0.1.
        odd_start: whether m and d begin as odd functions of the gradient: opposite gradients, opposite fast weights.
            False in the paper.

    Raises:
        ValueError: for a backbone that is no such chain, a missing `way`, an unknown `representation_loss`, counts below
            1, an odd `hidden_units` with `odd_start`, and for inputs of a wrong rank, shape or dtype.

    Example:

    >>> import zoo
    >>> model = zoo.MetaNetwork(zoo.backbones.conv5(filters=32), way=5)
    >>> episodes = zoo.datasets.load("glyphs", "train").episodes(way=5, shot=1, query=10, num_tasks=1, seed=0)
    >>> model.compile(optimizer="adam")
    >>> history = model.fit(episodes, steps_per_epoch=100)
    """

    supports_mixed_precision = True
    # A step of one task, as in the paper, is a few large products: all threads work on each.
    one_thread_per_op = False

    def __init__(
        self,
        backbone,
        way,
        num_chunks=5,
        representation_loss="cross_entropy",
        hidden_units=20,
        gradient_scale=7.0,
        initializer=None,
        odd_start=True,
        **kwargs,
    ):
        super().__init__(backbone, way=way, **kwargs)
        check_chain(backbone)
        if way is None:
            raise ValueError(
                "`way` must be an int of at least 2: the softmax layer has one unit per class. Received: None"
            )
        self.num_chunks = arguments.count("num_chunks", num_chunks)
        self.representation_loss = arguments.choice("representation_loss", representation_loss, REPRESENTATION_LOSSES)
        self.hidden_units = arguments.count("hidden_units", hidden_units)
        self.gradient_scale = arguments.number("gradient_scale", gradient_scale, above=0)
        self.odd_start = arguments.flag("odd_start", odd_start)
        if odd_start and hidden_units % 2:
            raise ValueError(f"`hidden_units` must be even with `odd_start`. Received: hidden_units={hidden_units}")
        initializer = PAPER_INITIALIZER if initializer is None else initializer
        self.initializer = keras.initializers.serialize(arguments.initializer("initializer", initializer))
        size = backbone.output_shape[-1]

        def dense(units, name, trainable=True):
            layer = keras.layers.Dense(
                units,
                use_bias=False,
                kernel_initializer=self.initializer,
                trainable=trainable,
                name=name,
                dtype=self.variable_dtype,
            )
            layer.build((None, size))
            return layer

        # b(W, .)
        self.hidden = dense(size, "hidden")
        self.head = dense(way, "head")
        # u(Q, .)
        self.key_backbone = type(backbone).from_config({**backbone.get_config(), "name": f"key_{backbone.name}"})
        self.key_hidden = dense(size, "key_hidden")
        self.key_head = dense(way, "key_head", trainable=False)
        if representation_loss == "verification":
            self.key_similarity = dense(1, "key_similarity", trainable=False)
            self.key_similarity.kernel.assign(-tf.abs(self.key_similarity.kernel))
        # d(G, .) and m(Z, .)
        shared = {
            "units": hidden_units,
            "initializer": self.initializer,
            "odd_start": odd_start,
            "dtype": self.variable_dtype,
        }
        self.conv_task_learner = GradientLSTM(**shared, name="conv_task_learner")
        self.dense_task_learner = GradientLSTM(**shared, name="dense_task_learner")
        self.conv_row_learner = GradientMLP(**shared, name="conv_row_learner")
        self.dense_row_learner = GradientMLP(**shared, name="dense_row_learner")

    # ---- algorithm 1, for one task

    def adapt_task(self, support_x, support_y, training=False):
        usable = tf.cast(episode.usable_rows(support_y, self.way), support_x.dtype)  # [S]
        task_weights = self._task_weights(support_x, support_y, usable, training)
        return {
            "keys": self.keys(support_x, task_weights),
            "memory": self._memory(support_x, support_y, usable),
            "task_weights": task_weights,
            "usable": usable,
            "class_counts": episode.class_counts(support_y, self.way, support_x.dtype),
        }

    def predict_task(self, task_state, query_x, training=False):
        scores = cosine(self.keys(query_x, task_state["task_weights"]), task_state["keys"])  # [Q, S]
        attention = masked_softmax(scores, task_state["usable"])
        logits = self._base(query_x, tf.matmul(attention, task_state["memory"]))  # [Q, way]
        return episode.mask_absent_classes(logits[None], task_state["class_counts"][None])[0]

    def _task_weights(self, x, y, usable, training):
        """Q*, lines 1 to 6: [number of weights of u that make the key]."""
        if not training:  # clients send rows in any order
            order = class_balanced_order(x, y)
            x, y, usable = tf.gather(x, order), tf.gather(y, order), tf.gather(usable, order)
        fewest = 1 if self.representation_loss == "cross_entropy" else 2
        chunks = chunk_rows(usable, self.num_chunks, fewest)  # [S, chunks]

        def loss(keys, logits):
            if self.representation_loss == "pairwise":
                return pairwise_loss(keys, y, chunks)
            if self.representation_loss == "verification":
                return verification_loss(keys, self.key_similarity.kernel, y, chunks)
            return chunk_cross_entropy(logits, y, chunks)

        rows = row_gradients(self.key_backbone, self.key_hidden, self.key_head, x, loss)
        # A chunk's gradient is the sum of its rows'. The key does not see the softmax layer, whose rows come last.
        conv, dense = tf.concat(rows[:-2], axis=1), rows[-2]
        conv, dense = (tf.matmul(chunks, gradients, transpose_a=True) for gradients in (conv, dense))  # [chunks, P]
        occupied = tf.reduce_max(chunks, axis=0)
        conv = self.conv_task_learner(gradient_features(conv, self.gradient_scale), occupied)
        dense = self.dense_task_learner(gradient_features(dense, self.gradient_scale), occupied)
        return tf.concat([conv, dense], axis=0)

    def _memory(self, x, y, usable):
        """M, lines 7 to 11: fast weights of b from the gradient of each support row, [S, number of weights of b]."""
        rows = row_gradients(
            self.backbone, self.hidden, self.head, x, lambda _, logits: tf.reduce_sum(usable * row_losses(y, logits))
        )
        conv, dense = tf.concat(rows[:-2], axis=1), tf.concat(rows[-2:], axis=1)
        conv = self.conv_row_learner(gradient_features(conv, self.gradient_scale))
        dense = self.dense_row_learner(gradient_features(dense, self.gradient_scale))
        return tf.concat([conv, dense], axis=1)

    def keys(self, x, task_weights):
        """u(Q, Q*, x), equation 5: [rows, *input_shape] -> [rows, D]."""
        *convs, hidden = split_weights(task_weights, key_kernels(self.key_backbone, self.key_hidden))

        def augmented(kernel, fast, h):  # slow and fast filters in one convolution
            both = tf.nn.relu(convolve(h, tf.concat([kernel, tf.cast(fast, kernel.dtype)], axis=-1)))
            return tf.add_n(tf.split(both, 2, axis=-1))

        features = run_chain(self.key_backbone, x, lambda index, kernel, h: augmented(kernel, convs[index], h))
        return tf.matmul(features, self.key_hidden.kernel + hidden)

    def _base(self, x, fast_weights):
        """b(W, W*, x), equation 12, each row under its own fast weights [rows, P]: logits [rows, way]."""
        *convs, hidden, head = split_weights(fast_weights, [*key_kernels(self.backbone, self.hidden), self.head.kernel])

        def augmented(kernel, fast, h):
            slow = convolve(h, kernel)
            return tf.nn.relu(slow) + tf.nn.relu(row_convolution(h, tf.cast(fast, kernel.dtype)))

        h = run_chain(self.backbone, x, lambda index, kernel, h: augmented(kernel, convs[index], h))
        h = tf.nn.relu(tf.matmul(h, self.hidden.kernel)) + tf.nn.relu(row_product(h, hidden))
        return tf.matmul(h, self.head.kernel) + row_product(h, head)

    # ---- the contract

    def state_signature(self):
        key_size = sum(kernel.shape.num_elements() for kernel in key_kernels(self.key_backbone, self.key_hidden))
        head_size = self.head.kernel.shape[0] * self.way
        shapes = {
            "keys": [None, self.key_hidden.units],
            "memory": [None, key_size + head_size],
            "task_weights": [key_size],
            "usable": [None],
            "class_counts": [self.way],
        }
        return {name: tf.TensorSpec(shape, self.compute_dtype) for name, shape in shapes.items()}

    def frozen_when_built(self):
        of_backbone = [layer.name for layer in self.backbone.layers if layer.weights and not layer.trainable]
        names = ["key_head", *(["key_similarity"] if self.representation_loss == "verification" else [])]
        return [*(f"{self.key_backbone.name}/{name}" for name in of_backbone), *names]

    def get_config(self):
        return {
            **super().get_config(),
            "num_chunks": self.num_chunks,
            "representation_loss": self.representation_loss,
            "hidden_units": self.hidden_units,
            "gradient_scale": self.gradient_scale,
            "initializer": self.initializer,
            "odd_start": self.odd_start,
        }


# ---- reading the memory


def cosine(a, b):
    """Cosine of every row of a [Q, D] with every row of b [S, D]: [Q, S]."""
    squares = [tf.reduce_sum(tf.square(rows), axis=-1) for rows in (a, b)]
    return tf.matmul(a, b, transpose_b=True) * tf.math.rsqrt(squares[0][:, None] * squares[1] + COSINE_EPSILON)


def masked_softmax(scores, usable):
    """Softmax over the usable columns, 0 for the others, and for all where none is: [Q, S], [S] -> [Q, S]."""
    scores = tf.where(usable > 0, scores, tf.cast(episode.ABSENT_CLASS_LOGIT, scores.dtype))
    return tf.nn.softmax(scores) * usable
