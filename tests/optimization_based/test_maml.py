import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors
from tests.finite_differences import check_gradients


@pytest.fixture
def float64():
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy("float32")


def linear_model(**options):
    """y = w x + b on one input, b and w at 0."""
    inputs = keras.Input((1,))
    backbone = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    return zoo.MAML(backbone, target_size=1, head_initializer="zeros", **options)


def test_one_inner_step_by_hand():
    """L = mean((w x + b - y)^2) at w = b = 0: dL/dw = -2 mean(x y), dL/db = -2 mean(y)."""
    model = linear_model(num_inner_steps=1, inner_learning_rate=0.1)
    x, y = tf.constant([[[1.0], [3.0]]]), tf.constant([[[2.0], [4.0]]])
    state = model.adapt(x, y)
    np.testing.assert_allclose(state["head/kernel"], [[[0.1 * 2 * (1 * 2 + 3 * 4) / 2]]], rtol=1e-6)
    np.testing.assert_allclose(state["head/bias"], [[0.1 * 2 * (2 + 4) / 2]], rtol=1e-6)
    np.testing.assert_allclose(model.predict_with(state, tf.constant([[[2.0]]])), [[[1.4 * 2 + 0.6]]], rtol=1e-6)


def test_outer_gradient_by_hand():
    """One weight, L = (w - a)^2 in both sets: d/dw (w1 - a)^2 with w1 = w - 2 alpha (w - a) is 2 (1 - 2 alpha)^2 (w - a)."""
    model = linear_model(num_inner_steps=1, inner_learning_rate=0.2)
    model.network.get_layer("head").bias.assign([0.0])
    x = {"support_x": tf.zeros([1, 1, 1]), "support_y": tf.ones([1, 1, 1]), "query_x": tf.zeros([1, 1, 1])}
    _, _, gradients = model.compute_gradients(x, tf.ones([1, 1, 1]))
    by_path = {v.path: g for v, g in zip(model.trainable_variables, gradients)}
    np.testing.assert_allclose(by_path["head/bias"], [2 * (1 - 2 * 0.2) ** 2 * (0 - 1)], rtol=1e-6)


def test_adaptation_against_a_numpy_reference():
    """Three gradient steps of a two-layer network, derivatives written out in float64."""
    rng = np.random.default_rng(0)
    model = zoo.MAML(
        zoo.backbones.mlp((2,), hidden_sizes=(4,)), target_size=1, num_inner_steps=3, inner_learning_rate=0.05
    )
    x, y = rng.standard_normal((5, 2)), rng.standard_normal((5, 1))
    w1, b1, w2, b2 = (variable.numpy().astype(np.float64) for variable in model.network.trainable_variables)
    for _ in range(3):
        z = x @ w1 + b1
        h = np.maximum(z, 0)
        d_out = 2 * (h @ w2 + b2 - y) / y.size
        d_z = (d_out @ w2.T) * (z > 0)
        steps = x.T @ d_z, d_z.sum(axis=0), h.T @ d_out, d_out.sum(axis=0)
        w1, b1, w2, b2 = (value - 0.05 * step for value, step in zip((w1, b1, w2, b2), steps))
    state = model.adapt(tf.constant(x[None], tf.float32), tf.constant(y[None], tf.float32))
    for path, expected in (("dense_1/kernel", w1), ("dense_1/bias", b1), ("head/kernel", w2), ("head/bias", b2)):
        np.testing.assert_allclose(state[path][0], expected, rtol=1e-5, atol=1e-6)


def float64_problem(num_inner_steps, **options):
    keras.utils.set_random_seed(3)
    backbone = zoo.backbones.conv4(descriptors.IMAGE_SHAPE, filters=3, statistics="batch")
    model = zoo.MAML(backbone, way=3, num_inner_steps=num_inner_steps, inner_learning_rate=0.3, **options)
    x, y = descriptors.episode(num_tasks=2, seed=1)
    return model, {key: tf.cast(value, tf.float64) if "x" in key else value for key, value in x.items()}, y


@pytest.mark.parametrize(
    "num_inner_steps, adapt_norm, query_statistics",
    [(1, False, "support"), (3, False, "queries"), (2, True, "support")],
)
def test_outer_gradient_agrees_with_finite_differences(float64, num_inner_steps, adapt_norm, query_statistics):
    """Through Conv-4 with the zoo's BatchNorm, by every variable along a random direction, in float64."""
    model, x, y = float64_problem(num_inner_steps, adapt_norm=adapt_norm, query_statistics=query_statistics)
    step = tf.function(model.compute_gradients, autograph=False)
    _, _, gradients = step(x, y)
    check_gradients(lambda: step(x, y)[0], model.trainable_variables, gradients, 1e-7, rtol=1e-4, atol=1e-7)


def test_float32_follows_the_gradient_of_float64():
    """Through the fused BatchNorm, the statistics that it records and those that it is given."""
    gradients = []
    for policy in ("float32", "float64"):
        keras.config.set_dtype_policy(policy)
        try:
            backbone = zoo.backbones.conv4(filters=8, statistics="batch")
            model = zoo.MAML(backbone, way=3, num_inner_steps=2, inner_learning_rate=0.3)
            rng = np.random.default_rng(0)
            model.set_weights([v.path.endswith("gamma") + 0.2 * rng.standard_normal(v.shape) for v in model.variables])
            x, y = descriptors.episode(seed=1, image_shape=(28, 28, 1))
            x = {key: tf.cast(value, policy) if "x" in key else value for key, value in x.items()}
            gradients.append([gradient.numpy() for gradient in model.compute_gradients(x, y)[2]])
        finally:
            keras.config.set_dtype_policy("float32")
    for variable, one, two in zip(model.trainable_variables, *gradients):
        assert np.linalg.norm(one - two) < 1e-4 * np.linalg.norm(two), variable.path


def test_a_query_is_normalized_by_the_support_set_under_the_adapted_weights():
    """Against a network whose BatchNorm has these statistics as its averages."""
    keras.utils.set_random_seed(0)
    options = dict(filters=3, input_shape=descriptors.IMAGE_SHAPE)
    model = zoo.MAML(zoo.backbones.conv4(statistics="batch", **options), way=3, inner_learning_rate=0.3)
    x, _ = descriptors.episode(num_tasks=1)
    state = {name: value[0] for name, value in model.adapt(x["support_x"], x["support_y"]).items()}
    reference = zoo.backbones.conv4(statistics="running", momentum=0.0, **options)
    body = [v for v in model.network.trainable_variables if not v.path.startswith("head")]
    for variable, own in zip(reference.trainable_variables, body):
        variable.assign(state.get(own.path, own))
    reference(x["support_x"][0], training=True)  # momentum 0: the averages are now those of the support set
    for layer in reference._flatten_layers():
        if isinstance(layer, zoo.BatchNorm):
            np.testing.assert_allclose(state[f"{layer.path}/support_mean"], layer.moving_mean, rtol=1e-4, atol=1e-6)
            layer.moving_variance.assign(state[f"{layer.path}/support_variance"])  # the average is the unbiased one
    features = reference(x["query_x"][0])
    expected = tf.matmul(features, state["head/kernel"]) + state["head/bias"]
    np.testing.assert_allclose(model(x)[0], expected, rtol=1e-4, atol=1e-5)


def test_statistics_of_the_queries_are_a_choice():
    model = zoo.MAML(zoo.backbones.conv4(descriptors.IMAGE_SHAPE, filters=3, statistics="batch"), way=3)
    assert model.batch_norm_mode == "support" and not model.transductive
    published = zoo.MAML.from_config({**model.get_config(), "query_statistics": "queries"})
    assert published.transductive and published.get_config()["query_statistics"] == "queries"
    with pytest.raises(ValueError, match="`query_statistics` must be one of .* Received: query_statistics='all'"):
        zoo.MAML(model.backbone, way=3, query_statistics="all")


def test_first_order_gradient_is_the_query_gradient_at_the_adapted_weights(float64):
    model, x, y = float64_problem(2, query_statistics="queries")
    first_order = zoo.MAML.from_config({**model.get_config(), "first_order": True})
    first_order.set_weights(model.get_weights())
    _, _, gradients = first_order.compute_gradients(x, y)
    _, _, second_order = model.compute_gradients(x, y)
    expected = [np.zeros(v.shape) for v in first_order.trainable_variables]
    for task in range(2):
        theta = {
            path: value[task]
            for path, value in first_order.adapt(x["support_x"], x["support_y"]).items()
            if path != "class_counts"
        }
        with tf.GradientTape() as tape:
            tape.watch(theta)
            loss = first_order.task_loss(y[task], first_order.forward(theta, x["query_x"][task]))
        for path, gradient in tape.gradient(loss, theta).items():
            index = [v.path for v in first_order.trainable_variables].index(path)
            expected[index] += gradient / 2
    for variable, gradient, value, other in zip(first_order.trainable_variables, gradients, expected, second_order):
        if "norm" not in variable.path:
            np.testing.assert_allclose(gradient, value, rtol=1e-6, atol=1e-12, err_msg=variable.path)
            assert np.abs(gradient - other).max() > 1e-4 * np.abs(other).max()


def test_training_and_test_take_their_own_number_of_steps():
    model = linear_model(num_inner_steps=1, num_inner_steps_test=2, inner_learning_rate=0.1)
    x, y = tf.ones([1, 1, 1]), tf.ones([1, 1, 1])
    one = model.adapt(x, y, training=True)["head/bias"]
    two = model.adapt(x, y, training=False)["head/bias"]
    np.testing.assert_allclose(one, [[0.2]], rtol=1e-6)
    np.testing.assert_allclose(two, [[0.2 + 0.2 * (1 - 0.4)]], rtol=1e-6)  # the residual fell from 1 to 1 - 2 * 0.2


def test_norm_weights_are_learned_but_not_adapted():
    model = descriptors.build("maml")
    x, y = descriptors.episode()
    assert not any(name.endswith(("gamma", "beta")) for name in model.adapt(x["support_x"], x["support_y"]))
    adapted = zoo.MAML.from_config({**model.get_config(), "adapt_norm": True})
    assert sum(name.endswith(("gamma", "beta")) for name in adapted.adapt(x["support_x"], x["support_y"])) == 8


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "Give either `way` or `target_size`"),
        ({"way": 5, "target_size": 1}, "Give either `way` or `target_size`"),
        (
            {"way": 5, "num_inner_steps": -1},
            "`num_inner_steps` must be an int of at least 0. Received: num_inner_steps=-1",
        ),
        ({"way": 1}, "`way` must be an int of at least 2"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        zoo.MAML(zoo.backbones.mlp(), **options)


def test_no_keras_normalization_in_any_backbone():
    """Their second derivative is wrong: see tests/core/test_batch_norm.py. Keras' applications have theirs replaced: test_normalization.py."""
    for name in set(zoo.backbones.BACKBONES) - {"keras_application"}:
        for layer in zoo.backbones.build(name)._flatten_layers():
            assert "Normalization" not in type(layer).__name__, (name, layer.name)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
