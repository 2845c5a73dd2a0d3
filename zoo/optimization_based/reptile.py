"""Reptile."""

import keras
import tensorflow as tf

from zoo.core import arguments, compiling, episode, gradients, inner_loop, inner_optimizers
from zoo.core.batch_norm import weighted_rows
from zoo.core.fast_weights import FastWeightsModel
from zoo.core.random_masks import drawn_at
from zoo.core.taskwise import map_tasks, minibatch, rows_that_count
from zoo.core.unique_names import unique_names

EVALUATIONS = ("support+one", "support", "transductive")
# What is kept with the weights from task to task; a direction, first moment or velocity, belongs to its own task.
_KEPT_SLOT = "second_moment"


@keras.saving.register_keras_serializable("metazoa")
class Reptile(FastWeightsModel):
    """Reptile: move the initial weights towards those that training on a task ends with.

    Nichol, Achiam, Schulman: On First-Order Meta-Learning Algorithms, 2018, https://arxiv.org/abs/1803.02999, algorithm 2:

        phi_i = k steps of an ordinary optimizer from theta on minibatches of task i's own training set
        theta <- theta + epsilon mean over tasks of (phi_i - theta)

    Training hands `theta - mean phi_i` to the optimizer as a gradient: with SGD of learning rate epsilon that is the
    interpolation, exactly, and any schedule anneals it. The minibatches of a task are its support rows, `inner_batch` at a
    time, from the start again when they are used up; what a step descends is `task_objective` of its minibatch, here the
    cross-entropy. In training the rows come in their order, which the sampler shuffles; at inference the classes take turns,
    and within a class the order is pseudo-random and follows from the images, so that the answer depends neither on the order
    in which a client sends the rows nor on padding. The queries of a task serve the training metrics only.

    Task state: the fast weights, one float32 [T, *shape] per variable of the network, under the variable's path, gamma and
    beta of BatchNorm included; `class_counts` float32 [T, way] for classification. With evaluation="support+one" also
    `support_x` float32 [T, S, *input_shape] and `support_usable` float32 [T, S], 1 for the rows that count.
    Not transductive with evaluation="support+one": each query shares its batch statistics with the support set alone.
    Transductive with evaluation="transductive": all queries of a task are one batch. The weights are the same, and
    training is; the paper reports both.

    Differs from the paper: the inner Adam's second moments are kept from step to step as in the authors' code, but the
    tasks of one step start from the same ones, and their mean is kept; a used-up training set is not shuffled
    again; minibatches at inference are not drawn.

    Args:
        backbone: keras.Model, inputs [B, *input_shape] -> features [B, D], BatchNorm with statistics="batch".
        way: classes per task. Give this or `target_size`.
        target_size: size of the float targets for regression.
        num_inner_steps: minibatches per task in training.
        num_inner_steps_test: minibatches at inference.
        inner_batch: rows of a minibatch in training.
        inner_batch_test: rows of a minibatch at inference; None takes all of them in every step, which costs more and at 5 and
            10 shots answers better.
        inner_optimizer: "adam" (beta_1 0, as in the paper's runs), "sgd" (as in its analysis), "momentum", or a dict of the
            `name` and its options, as in `zoo.MAML`.
        inner_learning_rate: of the inner optimizer.
        evaluation: "support+one" or "transductive", see above.
        head_initializer: Keras initializer of the dense layer's kernel, as a name or its config.

    Raises:
        ValueError: for an unknown optimizer or evaluation, counts below 1, or what `FastWeightsModel` refuses.

    Example:

    >>> import zoo
    >>> model = zoo.Reptile(zoo.backbones.strided_conv4(scale=True, pooling="flatten"), way=5)
    >>> episodes = zoo.datasets.load("glyphs", "train").episodes(way=5, shot=10, query=1, num_tasks=5, seed=0)
    >>> model.compile(optimizer=keras.optimizers.SGD(1.0))
    >>> history = model.fit(episodes, steps_per_epoch=100)
    """

    def __init__(
        self,
        backbone,
        way=None,
        target_size=None,
        num_inner_steps=5,
        num_inner_steps_test=50,
        inner_batch=10,
        inner_batch_test=5,
        inner_optimizer="adam",
        inner_learning_rate=1e-3,
        evaluation="support+one",
        head_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(backbone, way=way, target_size=target_size, head_initializer=head_initializer, **kwargs)
        counts = dict(
            num_inner_steps=num_inner_steps,
            num_inner_steps_test=num_inner_steps_test,
            inner_batch=inner_batch,
            inner_batch_test=inner_batch_test,
        )
        for name, value in counts.items():
            all_rows = name == "inner_batch_test" and value is None
            setattr(self, name, None if all_rows else arguments.count(name, value))
        self._rule = inner_optimizers.get(inner_optimizer)
        self.inner_optimizer = inner_optimizers.plain(inner_optimizer)
        self.inner_learning_rate = arguments.number("inner_learning_rate", inner_learning_rate, at_least=0)
        self.evaluation = arguments.choice("evaluation", evaluation, EVALUATIONS)
        self.check_statistics_to_keep()
        # Not trained by the outer step, but kept with the weights: inference starts from them, as the paper's code does.
        shared = dict(initializer="zeros", trainable=False, aggregation="mean")
        self._moments, self._num_updates = {}, None
        if _KEPT_SLOT in self._rule.slots:
            self._num_updates = self.add_weight(name="inner_updates", shape=(), **shared)
            # Of frozen layers too: they may be frozen, or no longer be, after the model was made.
            paths = [self.name_of(variable) for variable in self.adaptable_variables()]
            names = unique_names([f"{_KEPT_SLOT}_{path}".replace("/", "_") for path in paths])
            for path, name, variable in zip(paths, names, self.adaptable_variables()):
                self._moments[path] = self.add_weight(name=name, shape=variable.shape, **shared)

    @property
    def batch_norm_mode(self):
        mode = super().batch_norm_mode
        return self.evaluation if mode == "transductive" else mode

    # ---- the inner loop

    def adapt_task(self, support_x, support_y, training=False):
        phi, _ = self._train_on_task(support_x, support_y, training)
        state = self.with_class_counts(phi, support_y)
        if self.keeps_support_statistics:
            x, _, weights = self.weighted_support(support_x, support_y)
            return {**state, **self.support_statistics(phi, x, weights)}
        if not self._asks_with_support:
            return state
        usable = episode.usable_rows(support_y, self.way) if self.target_size is None else tf.ones_like(support_y[:, 0])
        return {**state, "support_x": support_x, "support_usable": tf.cast(usable, self.compute_dtype)}

    def _train_on_task(self, support_x, support_y, training):
        """(phi, second moments) after k minibatches of one task's support rows."""
        x, y, weights = self.ordered_support(support_x, support_y, training)
        if self.target_size is None:
            y = tf.where(weights > 0, y, episode.PADDING_LABEL)
        num_steps = self.num_inner_steps if training else self.num_inner_steps_test
        size = self.inner_batch if training else self.inner_batch_test

        def inner_step(step, phi, slots):
            rows = minibatch(step, size, weights)
            counted = weighted_rows(tf.gather(weights, rows))
            with tf.GradientTape(watch_accessed_variables=False) as tape, counted, drawn_at(step):
                tape.watch(phi)
                loss = self.task_objective(tf.gather(y, rows), self.forward(phi, tf.gather(x, rows), training))
                loss += self._penalty(phi)
            slopes = gradients.gradient(tape, loss, phi, self.inner_loss_scale)
            rates = dict.fromkeys(phi, self.inner_learning_rate)
            num_updates = updates_before + tf.cast(step + 1, self.compute_dtype)
            return inner_optimizers.descend(self._rule, phi, slopes, slots, rates, step, num_updates)

        updates_before = 0.0 if self._num_updates is None else tf.convert_to_tensor(self._num_updates)
        phi = self.initial_weights()
        slots = inner_optimizers.start(self._rule, phi)
        kept = [name for name in self._moments if name in phi]  # a frozen weight keeps its own
        for name in kept:
            slots[name][_KEPT_SLOT] = tf.convert_to_tensor(self._moments[name])
        phi, slots = inner_loop.repeat(num_steps, inner_step, (phi, slots))
        return phi, {name: slots[name][_KEPT_SLOT] for name in kept}

    def _penalty(self, phi):
        """The regularizers of the layers at the weights of a task."""
        penalized = compiling.regularized(self.fast_variables())
        return tf.add_n([tf.zeros([], self.compute_dtype), *(v.regularizer(phi[self.name_of(v)]) for v in penalized)])

    def regularized_variables(self):
        return []  # the inner steps see the regularizers, as ordinary training does

    # ---- the outer step

    def compute_gradients(self, x, y, scale_loss=tf.identity):
        """(`task_objective` of the queries after adaptation, query logits, theta - mean phi): what SGD interpolates with.

        The inner steps descend the loss as it is: only their result is scaled, for an optimizer that divides by the scale.
        """
        theta = self.initial_weights()

        def one_task(task):
            support_x, support_y, query_x, query_y = task
            phi, moments = self._train_on_task(support_x, support_y, training=True)
            outputs = self.masked(self.forward(phi, query_x, training=True), self.with_class_counts(phi, support_y))
            return self.task_objective(query_y, outputs), outputs, phi, moments

        specs = {path: tf.TensorSpec(value.shape, value.dtype) for path, value in theta.items()}
        moment_specs = {path: specs[path] for path in self._moments if path in specs}
        signature = tf.TensorSpec([], self.compute_dtype), self._outputs_spec(), specs, moment_specs
        tasks = x["support_x"], x["support_y"], x["query_x"], y
        losses, outputs, phi, moments = map_tasks(one_task, tasks, signature, batchable=True)
        for path, moment in moments.items():
            self._moments[path].assign(tf.reduce_mean(moment, axis=0))
        if self._num_updates is not None:
            self._num_updates.assign_add(self.num_inner_steps)
        self._seeds.advance()
        names = [self.name_of(variable) for variable in self.trainable_variables]
        moves = [theta[name] - tf.reduce_mean(phi[name], axis=0) for name in names]
        return tf.reduce_mean(losses), outputs, [scale_loss(move) for move in moves]

    # ---- answers

    @property
    def _asks_with_support(self):
        """Whether each query is asked together with the support set, for its batch statistics."""
        return self.batch_norm_mode == "support+one"

    def predict_task(self, task_state, query_x, training=False):
        if not self._asks_with_support:
            return super().predict_task(task_state, query_x, training)
        support_x, weights = rows_that_count(task_state["support_x"], task_state["support_usable"])
        weights = tf.concat([weights, [1.0]], axis=0)

        def one_query(image):
            with weighted_rows(weights):
                return self.forward(task_state, tf.concat([support_x, image[None]], axis=0), training)[-1]

        outputs = tf.map_fn(one_query, query_x, fn_output_signature=self._outputs_spec().dtype)
        return self.masked(tf.ensure_shape(outputs, self._outputs_spec().shape), task_state)

    def state_signature(self):
        signature = super().state_signature()
        if self._asks_with_support:
            signature["support_x"] = tf.TensorSpec([None, *self.input_shape], self.compute_dtype)
            signature["support_usable"] = tf.TensorSpec([None], self.compute_dtype)
        return signature

    def get_config(self):
        return {
            **super().get_config(),
            "num_inner_steps": self.num_inner_steps,
            "num_inner_steps_test": self.num_inner_steps_test,
            "inner_batch": self.inner_batch,
            "inner_batch_test": self.inner_batch_test,
            "inner_optimizer": self.inner_optimizer,
            "inner_learning_rate": self.inner_learning_rate,
            "evaluation": self.evaluation,
        }
