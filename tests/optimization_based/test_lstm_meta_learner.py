import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors
from tests.finite_differences import check_gradients


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def build(way=3, **options):
    """Softmax regression on two inputs, every weight of the meta-learner moved so that no term is negligible."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,))
    backbone = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    model = zoo.LSTMMetaLearner(backbone, way=way, hidden_size=4, **options)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.3 * rng.standard_normal(variable.shape))
    return model


def task():
    rng = np.random.default_rng(1)
    return rng.standard_normal((6, 2)), np.array([0, 1, 2, 0, 1, 2])


def preprocess(x, p=10.0):
    large = np.abs(x) >= np.exp(-p)
    first = np.where(large, np.log(np.where(large, np.abs(x), 1.0)) / p, -1.0)
    return np.stack([first, np.where(large, np.sign(x), np.exp(p) * x)], axis=-1)


def reference(model, x, labels, num_steps, post_sigmoid=True):
    """The equations of the paper in float64; the cell state is [W, b] of softmax regression, flattened."""
    meta = {name: value.numpy().astype(np.float64) for name, value in model._meta.items()}
    theta = np.concatenate([v.numpy().astype(np.float64).ravel() for v in model.network.trainable_variables])
    way, num_weights, hidden = 3, theta.size, 4
    h, c = np.zeros((num_weights, hidden)), np.zeros((num_weights, hidden))
    f, i = np.zeros(num_weights), np.zeros(num_weights)
    for _ in range(num_steps):
        w, b = theta[: 2 * way].reshape(2, way), theta[2 * way :]
        scores = np.exp(x @ w + b)
        probabilities = scores / scores.sum(axis=1, keepdims=True)
        loss = -np.log(probabilities[np.arange(6), labels]).mean()
        residual = (probabilities - np.eye(way)[labels]) / 6
        gradient = np.concatenate([(x.T @ residual).ravel(), residual.sum(axis=0)])
        inputs = np.concatenate([np.tile(preprocess(np.array([loss])), (num_weights, 1)), preprocess(gradient)], axis=1)
        z = np.concatenate([inputs, h], axis=1) @ meta["kernel"] + meta["bias"]
        into, keep, out, new = np.split(z, 4, axis=1)
        c = sigmoid(keep) * c + sigmoid(into) * np.tanh(new)
        h = sigmoid(out) * np.tanh(c)
        f_raw = np.concatenate([h, theta[:, None], f[:, None]], axis=1) @ meta["w_f"][:, 0] + meta["b_f"]
        i_raw = np.concatenate([h, theta[:, None], i[:, None]], axis=1) @ meta["w_i"][:, 0] + meta["b_i"]
        theta = sigmoid(f_raw) * theta - sigmoid(i_raw) * gradient
        f, i = (sigmoid(f_raw), sigmoid(i_raw)) if post_sigmoid else (f_raw, i_raw)
    return theta[: 2 * way].reshape(2, way), theta[2 * way :]


@pytest.mark.parametrize("gate_feedback", ["sigmoid", "pre_sigmoid"])
def test_adaptation_against_a_numpy_reference(gate_feedback):
    model = build(num_inner_steps=3, gate_feedback=gate_feedback)
    x, labels = task()
    w, b = reference(model, x, labels, 3, post_sigmoid=gate_feedback == "sigmoid")
    state = model.adapt(tf.constant(x[None], tf.float32), tf.constant(labels[None], tf.int64))
    np.testing.assert_allclose(state["head/kernel"][0], w, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(state["head/bias"][0], b, rtol=1e-5, atol=1e-5)
    queries = np.random.default_rng(2).standard_normal((4, 2))
    answers = model.predict_with(state, tf.constant(queries[None], tf.float32))[0]
    np.testing.assert_allclose(answers, queries @ w + b, rtol=1e-5, atol=1e-5)


def test_it_starts_as_plain_gradient_descent():
    """Fresh weights: f within 2 % of 1, and the step on the gradient between sigmoid(-5) and sigmoid(-4)."""
    inputs = keras.Input((2,))
    model = zoo.LSTMMetaLearner(
        keras.Model(inputs, keras.layers.Activation("linear")(inputs)), way=3, num_inner_steps=1
    )
    theta, gradient = tf.zeros([9]), tf.linspace(-1.0, 1.0, 9)
    zeros = tf.zeros([20, 9])
    moved, _ = model.update(theta, gradient, tf.constant(1.0), (zeros, zeros, tf.zeros([9]), tf.zeros([9])))
    rates = -moved.numpy()[gradient != 0] / gradient.numpy()[gradient != 0]
    assert (sigmoid(-5.1) < rates).all() and (rates < sigmoid(-3.9)).all()
    kept, _ = model.update(tf.ones([9]), tf.zeros([9]), tf.constant(1.0), (zeros, zeros, tf.zeros([9]), tf.zeros([9])))
    assert (kept.numpy() > 0.98).all() and (kept.numpy() < 1).all()


def test_preprocess_by_hand():
    """p = 10: e^-10 = 4.54e-5."""
    values = build().preprocess(tf.constant([1.0, -np.exp(-5.0), 2e-5, -1e-6, 0.0]))
    expected = [[0, 1], [-0.5, -1], [-1, 2e-5 * np.exp(10)], [-1, -1e-6 * np.exp(10)], [-1, 0]]
    np.testing.assert_allclose(np.transpose(values), expected, rtol=1e-5, atol=1e-6)


def test_the_gradient_itself_is_multiplied_and_not_its_preprocessed_form():
    """Twice the gradient moves a weight further, although its preprocessed sign is the same."""
    model = build()
    state = (tf.zeros([4, 1]), tf.zeros([4, 1]), tf.zeros([1]), tf.zeros([1]))
    steps = [model.update(tf.zeros([1]), tf.constant([g]), tf.constant(1.0), state)[0].numpy()[0] for g in (10.0, 20.0)]
    assert 1.8 < steps[1] / steps[0] < 2.2


def test_gradients_and_losses_are_constants_to_the_outer_gradient():
    """By theta_0 after one step: f, and the gates' own dependence on theta, but nothing through the gradient g.

    With w = 0 in both gates, theta_1 = f theta_0 - i g(theta_0) and d theta_1 / d theta_0 must be f exactly.
    """
    model = build(num_inner_steps=1)
    for name in ("w_f", "w_i"):
        model._meta[name].assign(tf.zeros_like(model._meta[name]))
    x, labels = task()
    f = sigmoid(float(model._meta["b_f"].numpy()[0]))
    bias = model.network.get_layer("head").bias
    with tf.GradientTape() as tape:
        state = model.adapt_task(tf.constant(x, tf.float32), tf.constant(labels, tf.int64), training=True)
        first = state["head/bias"][0]
    np.testing.assert_allclose(tape.gradient(first, bias.value), [f, 0, 0], rtol=1e-5, atol=1e-7)


def test_outer_gradient_agrees_with_finite_differences_where_gradients_stay_as_they_were():
    """Meta-weights by finite differences in float64, on a loss whose inner gradients and losses are frozen."""
    keras.config.set_dtype_policy("float64")
    try:
        model = build(num_inner_steps=3)
        x, labels = task()
        support = tf.constant(x), tf.constant(labels, tf.int64)
        query_x = tf.constant(np.random.default_rng(5).standard_normal((3, 2)))
        recorded, measure = [], model._loss_and_gradient
        original_while = tf.while_loop

        def unrolled(condition, body, loop_vars, **_):
            while condition(*loop_vars):
                loop_vars = body(*loop_vars)
            return loop_vars

        def loss():
            state = model.adapt_task(*support, training=True)
            return model.task_loss(tf.constant([0, 1, 2], tf.int64), model.predict_task(state, query_x, training=True))

        def record(*args):
            recorded.append(measure(*args))
            return recorded[-1]

        def frozen_loss():
            frozen = iter(recorded)
            model._loss_and_gradient = lambda *_: next(frozen)
            return loss()

        tf.while_loop = unrolled
        try:
            model._loss_and_gradient = record
            with tf.GradientTape() as tape:
                value = loss()
            gradients = tape.gradient(value, model.trainable_variables)
            check_gradients(frozen_loss, model.trainable_variables, gradients, rtol=1e-5, atol=1e-9)
        finally:
            tf.while_loop = original_while
    finally:
        keras.config.set_dtype_policy("float32")


def conv_model(num_inner_steps=2, momentum=0.1):
    keras.utils.set_random_seed(0)
    backbone = zoo.backbones.conv4(descriptors.IMAGE_SHAPE, filters=4, momentum=momentum)
    return zoo.LSTMMetaLearner(backbone, way=3, num_inner_steps=num_inner_steps, hidden_size=4)


def test_averages_start_anew_for_each_task_and_follow_its_support():
    """After one step with weight 0.1 on the old: 0.9 of the first layer's own statistics of the support images."""
    model = conv_model(num_inner_steps=1)
    x, _ = descriptors.episode()
    for _ in range(2):  # a second call starts from 0 and 1 again
        state = model.adapt(x["support_x"], x["support_y"])
    maps = model.backbone.get_layer("block_1").conv(x["support_x"][0]).numpy().astype(np.float64)
    rows = maps.reshape(-1, 4)
    np.testing.assert_allclose(state["block_1/norm_1/moving_mean"][0], 0.9 * rows.mean(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        state["block_1/norm_1/moving_variance"][0], 0.1 + 0.9 * rows.var(axis=0, ddof=1), rtol=1e-4
    )
    assert all(np.all(v.numpy() == (1 if "variance" in v.path else 0)) for v in model.network.non_trainable_variables)


def test_queries_take_batch_statistics_in_training_and_the_averages_at_inference():
    model = conv_model()
    x, _ = descriptors.episode(query=3)
    state = model.adapt(x["support_x"], x["support_y"])
    for training, depends in ((True, True), (False, False)):
        together = model.predict_with(state, x["query_x"], training=training)
        alone = model.predict_with(state, x["query_x"][:, :1], training=training)
        assert (np.abs(together[:, :1] - alone).max() > 1e-3) == depends


def test_the_answer_does_not_depend_on_the_order_of_the_rows():
    x, labels = task()
    model = build(num_inner_steps=3, inner_batch=2)
    expected = model.adapt(tf.constant(x[None], tf.float32), tf.constant(labels[None], tf.int64))
    for order in (np.argsort(labels, kind="stable"), [5, 4, 3, 2, 1, 0]):
        state = model.adapt(tf.constant(x[None, order], tf.float32), tf.constant(labels[None, order], tf.int64))
        for name, value in state.items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("in_graph", [False, True])
def test_the_order_of_the_rows_does_not_depend_on_padding(in_graph):
    """Padded rows, with images that nobody should look at, in front of the others, among them and behind."""
    x, labels = task()
    model = build(num_inner_steps=3, inner_batch=2)
    adapt = tf.function(model.adapt, autograph=False) if in_graph else model.adapt
    expected = model.adapt(tf.constant(x[None], tf.float32), tf.constant(labels[None], tf.int64))
    for order in ([0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]):
        places = [0, 1, 3, 6]  # in the rows without padding
        padded_x = np.insert(x[order], places, 9.0, axis=0)
        padded_y = np.insert(labels[order], places, -1)
        state = adapt(tf.constant(padded_x[None], tf.float32), tf.constant(padded_y[None], tf.int64))
        for name, value in state.items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_minibatches_take_turns():
    """Six rows in batches of three: two steps see all of them, and not one batch twice."""
    x, labels = task()
    halves = build(num_inner_steps=2, inner_batch=3)
    state = halves.adapt(tf.constant(x[None], tf.float32), tf.constant(labels[None], tf.int64))
    same_first_half = np.concatenate([x[:3], x[:3]]), np.concatenate([labels[:3], labels[:3]])
    other = halves.adapt(
        tf.constant(same_first_half[0][None], tf.float32), tf.constant(same_first_half[1][None], tf.int64)
    )
    assert np.abs(state["head/kernel"] - other["head/kernel"]).max() > 1e-3


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_inner_steps": 0}, "`num_inner_steps` must be an int of at least 1. Received: num_inner_steps=0"),
        ({"gate_feedback": "none"}, "`gate_feedback` must be one of"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_a_backbone_without_averages_is_refused():
    with pytest.raises(ValueError, match="needs a backbone whose BatchNorm has statistics='running'"):
        zoo.LSTMMetaLearner(zoo.backbones.strided_conv4(), way=3)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
