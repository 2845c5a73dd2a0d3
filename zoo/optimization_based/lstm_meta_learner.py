"""LSTM meta-learner."""

import math

import keras
import tensorflow as tf

from zoo.core import arguments, gradients
from zoo.core.batch_norm import batch_statistics, weighted_rows
from zoo.core.fast_weights import FastWeightsModel
from zoo.core.lstm import lstm_state
from zoo.core.random_masks import drawn_at
from zoo.core.taskwise import minibatch

GATE_FEEDBACKS = ("sigmoid", "pre_sigmoid")


@keras.saving.register_keras_serializable("metazoa")
class LSTMMetaLearner(FastWeightsModel):
    """LSTM meta-learner: an LSTM, shared by all weights of the learner, whose cell state is the learner's weight.

    Ravi, Larochelle: Optimization as a Model for Few-Shot Learning, ICLR 2017, https://openreview.net/forum?id=rJY0-Kcll,
    section 3. For every single weight theta of the learner, with g_t and l_t its gradient and the loss on the support set:

        h_t     = LSTM([preprocess(l_t), preprocess(g_t)], h_{t-1})
        f_t     = sigmoid(W_F [h_t, theta_{t-1}, f_{t-1}] + b_F)
        i_t     = sigmoid(W_I [h_t, theta_{t-1}, i_{t-1}] + b_I)
        theta_t = f_t theta_{t-1} - i_t g_t,        t = 1 .. T
        preprocess(x) = (log|x| / p, sign x) where |x| >= e^-p, else (-1, e^p x)

    theta_0, the initial cell state, is learned, and so are the LSTM, W and b. b_F and b_I start where f is near 1 and i
    small: as plain gradient descent. The query loss at theta_T is differentiated with g_t and l_t as constants.

    Task state: theta_T, one float32 [T, *shape] per trainable variable of the network, gamma and beta included, and the
    moving averages of BatchNorm, under the variables' paths; `class_counts` float32 [T, way].
    Not transductive: at inference, BatchNorm takes the averages over the T support batches, started anew for each task. In
    training it takes the statistics of the batch for support and queries, as in the paper.

    Differs from the paper: nothing in the rule. Every support batch is the whole support set, as in its 1-shot runs, unless
    `inner_batch` says otherwise.

    Args:
        backbone: keras.Model, inputs [B, *input_shape] -> features [B, D]; its BatchNorm has statistics="running", and
            momentum is the weight of the old average (0.1 and 0.05 in the paper's code, at 1 and 5 shots).
        way: classes per task. Give this or `target_size`.
        target_size: size of the float targets for regression.
        num_inner_steps: T in training; 12 at 1 shot, 8 at 5 shots in the paper's code.
        num_inner_steps_test: T at inference; `num_inner_steps` when None.
        inner_batch: support rows of a step, from the start again when they are used up; all of them when None. In training
            they come in their order, which the sampler shuffles; at inference the classes take turns, and within a class the
            order follows from the images, so that the answer does not depend on the order of the rows.
        hidden_size: of the LSTM.
        p: of `preprocess`.
        forget_bias, input_bias: (low, high), b_F and b_I start uniformly between them.
        gate_feedback: what f_{t-1} and i_{t-1} are above: "sigmoid", as the paper writes it, or "pre_sigmoid", the value in
            front of the sigmoid, as its code has it.
        head_initializer: Keras initializer of the dense layer's kernel, as a name or its config.

    Raises:
        ValueError: for counts below 1, an unknown `gate_feedback`, or what `FastWeightsModel` refuses.

    Example:

    >>> import zoo
    >>> model = zoo.LSTMMetaLearner(zoo.backbones.conv4(filters=32, momentum=0.1), way=5, num_inner_steps=12)
    """

    keeps_moving_averages = True

    def __init__(
        self,
        backbone,
        way=None,
        target_size=None,
        num_inner_steps=12,
        num_inner_steps_test=None,
        inner_batch=None,
        hidden_size=20,
        p=10.0,
        forget_bias=(4.0, 5.0),
        input_bias=(-5.0, -4.0),
        gate_feedback="sigmoid",
        head_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(backbone, way=way, target_size=target_size, head_initializer=head_initializer, **kwargs)
        num_inner_steps_test = num_inner_steps if num_inner_steps_test is None else num_inner_steps_test
        self.num_inner_steps = arguments.count("num_inner_steps", num_inner_steps)
        self.num_inner_steps_test = arguments.count("num_inner_steps_test", num_inner_steps_test)
        self.inner_batch = None if inner_batch is None else arguments.count("inner_batch", inner_batch)
        self.hidden_size = arguments.count("hidden_size", hidden_size)
        self.p = arguments.number("p", p, above=0)
        self.forget_bias = arguments.interval("forget_bias", forget_bias)
        self.input_bias = arguments.interval("input_bias", input_bias)
        self.gate_feedback = arguments.choice("gate_feedback", gate_feedback, GATE_FEEDBACKS)
        small = keras.initializers.RandomUniform(-0.01, 0.01)
        shapes = {"kernel": (4 + hidden_size, 4 * hidden_size), "bias": (4 * hidden_size,)}
        shapes |= {"w_f": (hidden_size + 2, 1), "w_i": (hidden_size + 2, 1)}
        self._meta = {
            name: self.add_weight(name=f"meta_{name}", shape=shape, initializer=small) for name, shape in shapes.items()
        }
        for name, bounds in (("b_f", forget_bias), ("b_i", input_bias)):
            between = keras.initializers.RandomUniform(*bounds)
            self._meta[name] = self.add_weight(name=f"meta_{name}", shape=(1,), initializer=between)

    # ---- the learner under given weights

    def _average_variables(self):
        """The averages of BatchNorm that move; those of a layer that is not trainable stay what they are."""
        norms = [layer for layer in self._norm_layers() if not layer.is_frozen]
        return [variable for layer in norms for variable in (layer.moving_mean, layer.moving_variance)]

    def _averages(self):
        """The averages that a task starts from, by name: mean 0, variance 1."""
        means, variances = self._average_variables()[::2], self._average_variables()[1::2]
        return {
            **{self.name_of(v): tf.zeros(v.shape, v.dtype) for v in means},
            **{self.name_of(v): tf.ones(v.shape, v.dtype) for v in variances},
        }

    def _forward(self, theta, averages, x, training):
        """(outputs [rows, way], the averages after it)."""
        outputs, updated = self.call_network(self.network, {**theta, **averages}, x, training)
        after = {self.name_of(v): value for v, value in zip(self.network.non_trainable_variables, updated)}
        return outputs, {name: after[name] for name in averages}

    # ---- the meta-learner

    def preprocess(self, x):
        """(log|x| / p, sign x), or (-1, e^p x) for small x: [P] -> [2, P]."""
        size, threshold = tf.abs(x), tf.exp(tf.cast(-self.p, x.dtype))
        large = size >= threshold
        logs = tf.where(large, tf.math.log(tf.maximum(size, threshold)) / self.p, -1.0)
        return tf.stack([logs, tf.where(large, tf.sign(x), x / threshold)])

    def update(self, theta, gradient, loss, state):
        """One step of the meta-learner for all P weights, which come last: slices of a gate are contiguous then.

        Args:
            theta, gradient: float [P].
            loss: float, scalar.
            state: (h [hidden, P], c [hidden, P], f [P], i [P]) of the step before.

        Returns:
            (theta [P], state).
        """
        h, c, f, i = state
        inputs = [tf.tile(self.preprocess(loss[None]), [1, tf.size(theta)]), self.preprocess(gradient), h]
        z = tf.matmul(self._meta["kernel"], tf.concat(inputs, axis=0), transpose_a=True)  # [4 hidden, P]
        h, c = lstm_state(*tf.split(z + self._meta["bias"][:, None], 4), c)  # its i, f, o, u; those of theta are below

        def gate(name, previous):
            features = tf.concat([h, theta[None], previous[None]], axis=0)  # [hidden + 2, P]
            return tf.matmul(self._meta[f"w_{name}"], features, transpose_a=True)[0] + self._meta[f"b_{name}"]

        f_raw, i_raw = gate("f", f), gate("i", i)
        f, i = tf.sigmoid(f_raw), tf.sigmoid(i_raw)
        fed_back = (f, i) if self.gate_feedback == "sigmoid" else (f_raw, i_raw)
        return f * theta - i * gradient, (h, c, *fed_back)

    def adapt_task(self, support_x, support_y, training=False):
        x, y, weights = self.ordered_support(support_x, support_y, training or self.inner_batch is None)
        num_steps = self.num_inner_steps if training else self.num_inner_steps_test
        theta = self._flat(self.initial_weights())

        def step(t, theta, averages, state):
            rows = minibatch(t, self.inner_batch, weights)
            with drawn_at(t):
                loss, gradient, averages = self._loss_and_gradient(
                    theta, averages, tf.gather(x, rows), tf.gather(y, rows), tf.gather(weights, rows), training
                )
            theta, state = self.update(theta, gradient, loss, state)
            return t + 1, theta, averages, state

        zeros = tf.zeros([self.hidden_size, tf.size(theta)], theta.dtype)
        state = (zeros, zeros, tf.zeros_like(theta), tf.zeros_like(theta))
        loop = (0, theta, self._averages(), state)
        _, theta, averages, _ = tf.while_loop(lambda t, *_: t < num_steps, step, loop)
        return self.with_class_counts({**self._unflat(theta), **averages}, support_y)

    def _loss_and_gradient(self, theta, averages, x, y, weights, training):
        """Support loss, its gradient [P], and the averages after it; all of them constants to the outer gradient."""
        theta = tf.stop_gradient(theta)
        # At inference too the averages are those of the support batches; but then nothing is dropped.
        with (
            tf.GradientTape(watch_accessed_variables=False) as tape,
            batch_statistics(move_averages=True),
            weighted_rows(weights),
        ):
            tape.watch(theta)
            outputs, averages = self._forward(self._unflat(theta), averages, x, training)
            loss = self.support_loss(y, outputs, weights)
        constants = loss, gradients.gradient(tape, loss, theta, self.inner_loss_scale), averages
        return tf.nest.map_structure(tf.stop_gradient, constants)

    def _flat(self, theta):
        return tf.concat([tf.reshape(theta[self.name_of(v)], [-1]) for v in self.fast_variables()], axis=0)

    def _unflat(self, theta):
        variables = self.fast_variables()
        parts = tf.split(theta, [math.prod(v.shape) for v in variables])
        return {self.name_of(v): tf.reshape(part, v.shape) for v, part in zip(variables, parts)}

    def state_signature(self):
        variables = self._average_variables()
        averages = {self.name_of(v): tf.TensorSpec(v.shape, self.compute_dtype) for v in variables}
        return {**super().state_signature(), **averages}

    def get_config(self):
        return {
            **super().get_config(),
            "num_inner_steps": self.num_inner_steps,
            "num_inner_steps_test": self.num_inner_steps_test,
            "inner_batch": self.inner_batch,
            "hidden_size": self.hidden_size,
            "p": self.p,
            "forget_bias": self.forget_bias,
            "input_bias": self.input_bias,
            "gate_feedback": self.gate_feedback,
        }
