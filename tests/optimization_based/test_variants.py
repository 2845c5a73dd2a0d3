"""The small variants of MAML: FOMAML, ANIL and Meta-SGD."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors
from tests.finite_differences import check_gradients


def linear_model(method, **options):
    """y = w x + b on one input, b and w at 0."""
    inputs = keras.Input((1,))
    backbone = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    return method(backbone, target_size=1, head_initializer="zeros", **options)


def bias_gradient(model):
    """The outer gradient by b of one task whose support and query are (x, y) = (0, 1)."""
    x = {"support_x": tf.zeros([1, 1, 1]), "support_y": tf.ones([1, 1, 1]), "query_x": tf.zeros([1, 1, 1])}
    _, _, gradients = model.compute_gradients(x, tf.ones([1, 1, 1]))
    return {v.path: np.asarray(g) for v, g in zip(model.trainable_variables, gradients)}


def test_fomaml_leaves_the_inner_derivative_out():
    """L = (b - 1)^2 at b = 0, alpha 0.2: b1 = 0.4. MAML: 2 (b1 - 1) (1 - 2 alpha); FOMAML: 2 (b1 - 1)."""
    options = dict(num_inner_steps=1, inner_learning_rate=0.2)
    np.testing.assert_allclose(bias_gradient(linear_model(zoo.MAML, **options))["head/bias"], [-1.2 * 0.6], rtol=1e-6)
    np.testing.assert_allclose(bias_gradient(linear_model(zoo.FOMAML, **options))["head/bias"], [-1.2], rtol=1e-6)


def test_meta_sgd_learns_its_step_size():
    """b1 = 2 alpha, L = (b1 - 1)^2: dL/dalpha = 2 (b1 - 1) 2, and dL/db = 2 (b1 - 1) (1 - 2 alpha)."""
    model = linear_model(zoo.MetaSGD, inner_learning_rate=0.2)
    gradients = bias_gradient(model)
    alpha = next(path for path in gradients if path.endswith("alpha_head_bias"))
    np.testing.assert_allclose(gradients[alpha], [2 * (0.4 - 1) * 2], rtol=1e-6)
    np.testing.assert_allclose(gradients["head/bias"], [2 * (0.4 - 1) * 0.6], rtol=1e-6)


def test_meta_sgd_has_one_step_size_per_weight_in_its_range():
    model = zoo.MetaSGD(zoo.backbones.mlp((2,), hidden_sizes=(50,)), way=3, inner_learning_rate=(0.005, 0.1))
    rates = {v.path: v.numpy() for v in model.trainable_variables if "alpha" in v.path}
    assert sorted(rate.shape for rate in rates.values()) == sorted(v.numpy().shape for v in model.fast_variables())
    values = np.concatenate([rate.ravel() for rate in rates.values()])
    assert 0.005 <= values.min() < 0.01 and 0.09 < values.max() <= 0.1


def test_meta_sgd_takes_each_weight_by_its_own_step():
    model = zoo.MetaSGD(zoo.backbones.mlp((2,), hidden_sizes=(4,)), way=3, inner_learning_rate=(0.1, 1.0))
    maml = zoo.MAML(model.backbone, way=3, num_inner_steps=1, inner_learning_rate=1.0)
    for ours, theirs in zip(model.network.trainable_variables, maml.network.trainable_variables):
        theirs.assign(ours)
    rng = np.random.default_rng(0)
    x, y = tf.constant(rng.standard_normal((1, 6, 2)), tf.float32), tf.constant([[0, 1, 2, 0, 1, 2]], tf.int64)
    steps, full_steps, start = model.adapt(x, y), maml.adapt(x, y), model.initial_weights()
    for path, value in start.items():
        alpha = model.step_size(path, step=0)
        np.testing.assert_allclose(steps[path][0], value + alpha * (full_steps[path][0] - value), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("num_inner_steps", [1, 3])
def test_anil_against_a_numpy_reference(num_inner_steps):
    """Softmax regression on fixed features: grad_W = features^T (p - one_hot) / S."""
    model = zoo.ANIL(
        zoo.backbones.mlp((2,), hidden_sizes=(4,)), way=3, num_inner_steps=num_inner_steps, inner_learning_rate=0.7
    )
    rng = np.random.default_rng(0)
    x, queries, labels = rng.standard_normal((6, 2)), rng.standard_normal((5, 2)), np.array([0, 1, 2, 0, 1, 2])
    w1, b1, w, b = (variable.numpy().astype(np.float64) for variable in model.network.trainable_variables)

    def features(rows):
        return np.maximum(rows @ w1 + b1, 0)

    for _ in range(num_inner_steps):
        scores = np.exp(features(x) @ w + b)
        residual = (scores / scores.sum(axis=1, keepdims=True) - np.eye(3)[labels]) / 6
        w, b = w - 0.7 * features(x).T @ residual, b - 0.7 * residual.sum(axis=0)
    state = model.adapt(tf.constant(x[None], tf.float32), tf.constant(labels[None], tf.int64))
    assert set(state) == {"head/kernel", "head/bias", "class_counts"}
    np.testing.assert_allclose(state["head/kernel"][0], w, rtol=1e-5, atol=1e-6)
    answers = model.predict_with(state, tf.constant(queries[None], tf.float32))[0]
    np.testing.assert_allclose(answers, features(queries) @ w + b, rtol=1e-5, atol=1e-5)


def test_anil_is_maml_when_the_body_stands_still():
    """With zero steps both answer as the initial network does."""
    x, _ = descriptors.episode()
    anil = zoo.ANIL(zoo.backbones.mlp(descriptors.IMAGE_SHAPE, hidden_sizes=(8,)), way=3, num_inner_steps=0)
    maml = zoo.MAML(anil.backbone, way=3, num_inner_steps=0)
    maml.set_weights(anil.get_weights())
    np.testing.assert_allclose(anil(x), maml(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", [zoo.ANIL, zoo.MetaSGD])
def test_outer_gradient_agrees_with_finite_differences(method):
    """Through Conv-4 with the zoo's BatchNorm, by every variable along a random direction, in float64."""
    keras.config.set_dtype_policy("float64")
    try:
        keras.utils.set_random_seed(3)
        backbone = zoo.backbones.conv4(descriptors.IMAGE_SHAPE, filters=3, statistics="batch")
        model = method(backbone, way=3, num_inner_steps=2, inner_learning_rate=0.3)
        x, y = descriptors.episode(num_tasks=2, seed=1)
        x = {key: tf.cast(value, tf.float64) if "x" in key else value for key, value in x.items()}
        step = tf.function(model.compute_gradients, autograph=False)
        _, _, gradients = step(x, y)
        check_gradients(lambda: step(x, y)[0], model.trainable_variables, gradients, rtol=1e-4, atol=1e-8)
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("method", [zoo.MAML, zoo.FOMAML, zoo.ANIL, zoo.MetaSGD, zoo.Reptile])
def test_averages_that_nobody_would_update_are_refused(method):
    with pytest.raises(ValueError, match="needs a backbone whose BatchNorm has statistics='batch'"):
        method(zoo.backbones.conv4(), way=5)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
