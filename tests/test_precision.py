"""Every method in double and half precision: the same answers and the same step as in float32."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors
from tests.descriptors import IMAGE_SHAPE, WAY, episode
from zoo.core.fast_weights import FastWeightsModel


@pytest.fixture(params=descriptors.params(descriptors.REPRESENTATIVES), scope="module")
def method(request):
    return request.param


@pytest.fixture(scope="module")
def in_float32(method):
    """A class, weights, answers to an episode, and the step of plain gradient descent on it."""
    model = descriptors.build(method)
    x, y = episode()
    return type(model), model.get_weights(), model(x).numpy(), _step(model, x, y)


@pytest.fixture
def policy():
    """Sets a dtype policy for one test."""
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


def _step(model, x, y):
    before = [v.numpy().astype("float64") for v in model.trainable_variables]
    model.compile(keras.optimizers.SGD(0.1))
    for _ in range(
        4
    ):  # a step whose scaled gradient is beyond float16 is left out, and the next one has half the scale
        model.train_step((x, y))
        step = np.concatenate([np.ravel(v.numpy() - start) for v, start in zip(model.trainable_variables, before)])
        if step.any():
            break
    return step


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_float64_takes_numpy_of_either_width(method, in_float32, policy, dtype):
    _, weights, answers, step = in_float32
    policy("float64")
    model = descriptors.build(method)
    model.set_weights(weights)
    x, y = episode()
    x = {key: value.numpy().astype(dtype) if "x" in key else value.numpy() for key, value in x.items()}
    state = model.adapt(x["support_x"], x["support_y"])
    assert all(value.dtype == tf.float64 for value in state.values())
    np.testing.assert_allclose(model.predict_with(state, x["query_x"]), answers, rtol=1e-3, atol=1e-4)
    own = _step(model, x, y.numpy())
    assert np.linalg.norm(own - step) < 1e-2 * np.linalg.norm(step)


@pytest.mark.parametrize("name", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_takes_the_step_of_float32(method, in_float32, policy, name):
    """The loss is scaled by 2^15 or less in mixed_float16, and the gradient divided by it."""
    cls, weights, answers, step = in_float32
    policy(name)
    model = descriptors.build(method)
    model.set_weights(weights)
    x, y = episode()
    assert model(x).dtype == tf.float32
    assert all(value.dtype == tf.float32 for value in model.adapt(x["support_x"], x["support_y"]).values())
    if issubclass(cls, FastWeightsModel):
        # Adapting six rows through BatchNorm of single pixels amplifies any rounding: see the test on an MLP.
        assert np.isfinite(_step(model, x, y)).all()
        return
    # Statistics of a few maps of one task amplify rounding, which scores far from 0 show most.
    shown = tf.nn.softmax if method.transductive else tf.identity
    largest = np.abs(shown(answers)).max()
    np.testing.assert_allclose(shown(model(x)), shown(answers), atol=max(0.05, 0.02 * largest))
    own = _step(model, x, y)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (name == "mixed_float16")
    assert np.linalg.norm(own - step) < 0.2 * np.linalg.norm(step)  # rounding alone; unscaled it would be 1.0


@pytest.mark.parametrize("name", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(
    "build",
    [
        lambda backbone: zoo.MAML(backbone, way=WAY, num_inner_steps=3, inner_learning_rate=0.005),
        lambda backbone: zoo.FOMAML(backbone, way=WAY, num_inner_steps=3, inner_learning_rate=0.005),
        lambda backbone: zoo.ANIL(backbone, way=WAY, num_inner_steps=3),
        lambda backbone: zoo.MetaSGD(backbone, way=WAY),
        lambda backbone: zoo.Reptile(backbone, way=WAY, inner_optimizer="sgd", inner_learning_rate=0.005),
        lambda backbone: zoo.LSTMMetaLearner(backbone, way=WAY, num_inner_steps=3),
    ],
    ids=["maml", "fomaml", "anil", "meta_sgd", "reptile", "lstm_meta_learner"],
)
def test_adapting_by_gradients_in_half_precision_is_that_of_float32(policy, build, name):
    """Answers, and the outer step: the slopes of the inner steps, which float16 loses below 6e-8, are scaled on their way."""
    (x, y), answers, steps, weights = episode(), [], [], None
    for precision in ("float32", name):
        policy("float32")
        keras.utils.set_random_seed(0)
        policy(precision)
        model = build(zoo.backbones.mlp(IMAGE_SHAPE, hidden_sizes=(32,)))
        if weights is not None:
            model.set_weights(weights)
        weights = model.get_weights()
        answers.append(model(x).numpy())
        steps.append(_step(model, x, y))
    np.testing.assert_allclose(answers[1], answers[0], atol=0.05)
    tolerance = 0.05 if name == "mixed_float16" else 0.2  # three bits fewer
    assert np.linalg.norm(steps[1] - steps[0]) < tolerance * np.linalg.norm(steps[0])


@pytest.mark.parametrize(
    "build",
    [
        lambda backbone: zoo.PrototypicalNetwork(backbone, way=WAY, distance_scale="learned"),
        lambda backbone: zoo.SimpleShot(backbone, way=WAY),
    ],
    ids=["learned scale", "base mean"],
)
def test_weights_beside_the_backbone_keep_their_digits(policy, build):
    """1.0004 is 1 in float16; the embeddings are those of a network whose layers compute in float32."""
    answers = []
    for name in ("float32", "mixed_float16"):
        policy(name)
        model = build(keras.Sequential([keras.Input((3,)), keras.layers.Activation("linear", dtype="float32")]))
        own = model.weights[0]
        own.assign(tf.fill(own.shape, 1.0004))
        x = {key: np.array([np.eye(3)]) if "x" in key else np.array([[0, 1, 2]]) for key in episode()[0]}
        answers.append(model(x).numpy())
    np.testing.assert_allclose(answers[1], answers[0], rtol=1e-6)


def test_a_method_that_does_not_say_so_is_refused_in_mixed_precision(policy):
    class Own(zoo.FewShotModel):
        pass

    policy("mixed_float16")
    with pytest.raises(ValueError, match="^Own and its backbone must have .*'float32'.* Received: .'mixed_float16'.$"):
        Own(zoo.backbones.mlp(IMAGE_SHAPE, hidden_sizes=(4,)))


def test_half_precision_without_float32_weights_and_a_mixture_are_refused(policy):
    backbone = zoo.backbones.mlp(IMAGE_SHAPE, hidden_sizes=(4,))
    policy("float64")
    with pytest.raises(ValueError, match="^MAML and its backbone must .* Received: .'float32', 'float64'.$"):
        zoo.MAML(backbone, way=WAY)
    policy("float16")
    with pytest.raises(
        ValueError, match="^PrototypicalNetwork and its backbone must .* Received: .'float16', 'float32'.$"
    ):
        zoo.PrototypicalNetwork(backbone)


def test_a_layer_of_the_backbone_may_keep_float32_in_mixed_precision(policy):
    policy("mixed_float16")
    inputs = keras.Input((3,))
    h = keras.layers.Dense(8, activation="relu")(inputs)
    model = zoo.PrototypicalNetwork(keras.Model(inputs, keras.layers.Dense(4, dtype="float32")(h)), way=2)
    x = {"support_x": np.eye(3)[None, :2], "support_y": np.array([[0, 1]]), "query_x": np.eye(3)[None, :2]}
    assert model(x).dtype == tf.float32


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
