"""Model-agnostic meta-learning."""

import keras
import tensorflow as tf

from zoo.core import arguments, gradients, inner_loop, inner_optimizers
from zoo.core.batch_norm import weighted_rows
from zoo.core.fast_weights import FastWeightsModel
from zoo.core.random_masks import drawn_at

QUERY_STATISTICS = ("support", "queries")


@keras.saving.register_keras_serializable("metazoa")
class MAML(FastWeightsModel):
    """MAML: initial weights from which a few gradient steps on the support set solve the task.

    Finn, Abbeel, Levine: Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks, ICML 2017,
    https://arxiv.org/abs/1703.03400, algorithm 2:

        theta_0     = theta
        theta_{j+1} = theta_j - alpha grad L_support(theta_j),    j = 0 .. k-1
        theta      <- theta - outer step along  grad_theta  mean over tasks of L_query(theta_k)

    The outer gradient goes through all k steps, second derivatives included.

    BatchNorm takes the statistics of the support set in the inner steps. A query is normalized by those of the support set
    under theta_k, in training as at inference, so that it can be asked alone.

    Task state: the fast weights, one float32 [T, *shape] per adapted variable, under the variable's path (a number behind it
    where another variable has the same); `support_mean` and
    `support_variance` float32 [T, channels] of each BatchNorm, under the layer's path; `class_counts` float32 [T, way] for
    classification.
    Not transductive. With `query_statistics="queries"` and BatchNorm in the backbone it is, as published: queries are
    normalized by their own statistics, and a query alone is answered at chance.

    Differs from the paper: whose statistics a query is normalized by, see `query_statistics`. alpha multiplies the gradient
    of the mean loss. The paper's code sums over classes, so its alpha of 0.4 at 5-way is `inner_learning_rate=2.0` here (0.1
    at 20-way: 2.0; 0.01 at 5-way miniImageNet: 0.05).

    Args:
        backbone: keras.Model, inputs [B, *input_shape] -> features [B, D]. A dense layer on top is added here.
        way: classes per task. Give this or `target_size`.
        target_size: size of the float targets for regression.
        num_inner_steps: gradient steps k in training.
        num_inner_steps_test: gradient steps at inference; `num_inner_steps` when None.
        inner_learning_rate: alpha, on the mean loss over the support set.
        adapt_norm: whether the inner loop changes gamma and beta of BatchNorm. False in the paper's code, where they are
            meta-learned only.
        head_initializer: Keras initializer of the dense layer's kernel, as a name or its config.
        padded_support: whether training episodes may hold padded support rows (shots drawn from a range). Taking them out
            makes shapes dynamic and the second-order graph twice as large, so it is asked for; inference always does it.
        query_statistics: whose mean and variance BatchNorm normalizes a query by: "support", or "queries", those that are
            asked together, as in the paper. A model trained with the one can be asked with the other.

        first_order: whether the gradients of the inner steps are constants to the outer gradient, as in `zoo.FOMAML`; None:
            as the class has it, False here.
        inner_optimizer: "sgd", "momentum" or "adam", with alpha as the learning rate and a new start for each task; or a dict
            of the `name` and its options, `{"name": "momentum", "momentum": 0.5, "nesterov": True}` or `{"name": "adam",
            "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}`. The outer gradient goes through it too. SGD in the paper.

    A subclass may give `step_size`: a rate per variable and step, as MAML++ learns them (Antoniou et al. 2019).

    Raises:
        ValueError: unless exactly one of `way` and `target_size` is given; for step counts below 0; for unknown
            `query_statistics`; for inputs of a wrong rank, shape or dtype.

    Example:

    >>> import zoo
    >>> backbone = zoo.backbones.strided_conv4()
    >>> model = zoo.MAML(backbone, way=5, num_inner_steps=1, num_inner_steps_test=3, inner_learning_rate=2.0)
    >>> episodes = zoo.datasets.load("glyphs", "train").episodes(way=5, shot=1, query=1, num_tasks=32, seed=0)
    >>> model.compile(optimizer="adam")
    >>> history = model.fit(episodes, steps_per_epoch=100)
    """

    first_order = False
    fewest_inner_steps = 0  # in training

    def __init__(
        self,
        backbone,
        way=None,
        target_size=None,
        num_inner_steps=5,
        num_inner_steps_test=None,
        inner_learning_rate=0.4,
        adapt_norm=False,
        head_initializer="glorot_uniform",
        padded_support=False,
        query_statistics="support",
        first_order=None,
        inner_optimizer="sgd",
        **kwargs,
    ):
        query_statistics = arguments.choice("query_statistics", query_statistics, QUERY_STATISTICS)
        self.query_statistics = query_statistics
        super().__init__(backbone, way=way, target_size=target_size, head_initializer=head_initializer, **kwargs)
        self.check_statistics_to_keep()
        num_inner_steps_test = num_inner_steps if num_inner_steps_test is None else num_inner_steps_test
        self.num_inner_steps = arguments.count("num_inner_steps", num_inner_steps, self.fewest_inner_steps)
        self.num_inner_steps_test = arguments.count("num_inner_steps_test", num_inner_steps_test, 0)
        self.inner_learning_rate = self.checked_rate(inner_learning_rate)
        self.adapt_norm = arguments.flag("adapt_norm", adapt_norm)
        self.padded_support = arguments.flag("padded_support", padded_support)
        first_order = type(self).first_order if first_order is None else first_order
        self.first_order = arguments.flag("first_order", first_order)
        self._rule = inner_optimizers.get(inner_optimizer)
        self.inner_optimizer = inner_optimizers.plain(inner_optimizer)

    def checked_rate(self, value):
        """`inner_learning_rate` as the method takes it."""
        return arguments.number("inner_learning_rate", value, at_least=0)

    @property
    def batch_norm_mode(self):
        mode = super().batch_norm_mode
        return "support" if mode == "transductive" and self.query_statistics == "support" else mode

    # ---- the inner loop

    def fast_variables(self):
        return self._without_norm(super().fast_variables())

    def adaptable_variables(self):
        return self._without_norm(super().adaptable_variables())

    def _without_norm(self, variables):
        norm = {id(variable) for layer in self._norm_layers() for variable in layer.variables}
        return [variable for variable in variables if self.adapt_norm or id(variable) not in norm]

    def adapt_task(self, support_x, support_y, training=False):
        num_steps = self.num_inner_steps if training else self.num_inner_steps_test
        may_be_padded = self.padded_support or not training
        support = self.weighted_support(support_x, support_y, may_be_padded)
        return self.with_class_counts(self._adapted(*support, num_steps, training), support_y)

    def _adapted(self, x, y, weights, num_steps, training):
        """theta_k of one task, and the statistics of its support rows under it."""
        theta = self._descend(self.initial_weights(), x, y, weights, num_steps, unroll=training)
        return {**theta, **self.support_statistics(theta, x, weights, training)}

    def _descend(self, theta, x, y, weights, num_steps, unroll):
        """theta_k from theta_0 by k inner steps on one task."""

        def step_forward(step, theta, slots):
            with drawn_at(step):
                return self.inner_step(step, theta, slots, x, y, weights, training=unroll)

        state = (theta, inner_optimizers.start(self._rule, theta))
        if not unroll:
            # The numbers of the unrolled loop, from a graph that does not grow with k.
            return inner_loop.repeat(num_steps, step_forward, state)[0]
        for step in range(num_steps):
            state = step_forward(step, *state)
        return state[0]

    def inner_step(self, step, theta, slots, x, y, weights, training=False):
        """theta - alpha grad L_support(theta), or what the inner optimizer makes of that gradient, for one task.

        Args:
            step: its index from 0: an int in training, an int32 scalar at inference.
            theta: the weights by name.
            slots: what the inner optimizer remembers, see `zoo.core.inner_optimizers`.
            x, y: the support rows, weighted by `weights` [rows].
            training: whether the outer step trains through it.

        Returns:
            `(theta, slots)`.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape, weighted_rows(weights):
            tape.watch(theta)
            loss = self.support_loss(y, self.forward(theta, x, training), weights)
        slopes = gradients.gradient(tape, loss, theta, self.inner_loss_scale)
        if self.first_order:
            slopes = {name: tf.stop_gradient(slope) for name, slope in slopes.items()}
        step_sizes = {name: self.step_size(name, step) for name in theta}
        return inner_optimizers.descend(self._rule, theta, slopes, slots, step_sizes, step, num_updates=step + 1)

    def step_size(self, name, step):
        """alpha of one variable in the inner step of that index: a number, or a tensor that broadcasts to its shape."""
        return self.inner_learning_rate

    def label_assertions(self, x, y):
        assertions = super().label_assertions(x, y)
        if self.target_size is None and not self.padded_support:
            message = "Training episodes hold padded support rows (label -1): this model needs padded_support=True."
            assertions.append(tf.debugging.Assert(tf.reduce_all(x["support_y"] >= 0), [message]))
        return assertions

    def get_config(self):
        return {
            **super().get_config(),
            "num_inner_steps": self.num_inner_steps,
            "num_inner_steps_test": self.num_inner_steps_test,
            "inner_learning_rate": self.inner_learning_rate,
            "adapt_norm": self.adapt_norm,
            "padded_support": self.padded_support,
            "query_statistics": self.query_statistics,
            "first_order": self.first_order,
            "inner_optimizer": self.inner_optimizer,
        }
