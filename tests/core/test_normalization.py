"""Layer and group normalization, and the function that puts the zoo's layers in the place of Keras'."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.core.batch_norm import BatchNorm
from zoo.core.normalization import GroupNorm, LayerNorm

layers = keras.layers
SHAPE = (4, 4, 6)


def second_order_slope(network, x, w, direction):
    """d/ds along `direction` of a function of grad_w loss, and its difference quotient: what an outer gradient needs.

    Not of |grad_w loss|^2: what Keras' layer normalization leaves out is orthogonal to that gradient.
    """

    def inner(weights):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            outputs = network(tf.tensordot(x, weights, 1), training=True)
            loss = tf.reduce_sum(tf.nn.softplus(outputs[:2])) - tf.reduce_sum(tf.nn.softplus(outputs[2:]) ** 2)
        return tf.reduce_sum(tape.gradient(loss, weights) ** 3)

    with tf.GradientTape() as tape:
        tape.watch(w)
        value = inner(w)
    slope = tf.reduce_sum(tape.gradient(value, w) * direction)
    quotient = (inner(w + 1e-5 * direction) - inner(w - 1e-5 * direction)) / 2e-5
    return float(slope), float(quotient)


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    return [tf.constant(rng.standard_normal(shape)) for shape in ((5, 4, 4, 3), (3, 6), (3, 6))]


def single(layer):
    return keras.Sequential([keras.Input(SHAPE, dtype="float64"), layer])


KERAS_LAYERS = {
    "batch": lambda **options: layers.BatchNormalization(dtype="float64", **options),
    "layer": lambda **options: layers.LayerNormalization(dtype="float64", **options),
    "layer over two axes": lambda **options: layers.LayerNormalization(axis=[1, 3], dtype="float64", **options),
    "group": lambda **options: layers.GroupNormalization(3, dtype="float64", **options),
    "instance": lambda **options: layers.GroupNormalization(-1, dtype="float64", **options),
}


@pytest.mark.parametrize("name", KERAS_LAYERS)
def test_the_second_derivative_is_right_once_replaced(name, problem):
    """In float64, along a random direction; Keras' layer itself is wrong, or there would be no reason to replace it."""
    network = single(KERAS_LAYERS[name]())
    wrong_slope, quotient = second_order_slope(network, *problem)
    assert abs(wrong_slope - quotient) > 1e-4 * abs(quotient)
    slope, quotient = second_order_slope(zoo.replace_normalization(network, "batch"), *problem)
    np.testing.assert_allclose(slope, quotient, rtol=1e-7)


@pytest.mark.parametrize("layer", [layers.RMSNormalization, layers.UnitNormalization])
def test_the_second_derivative_of_what_methods_take_is_right(layer, problem):
    """Layers of Keras that subtract no mean: these need no replacement, and none is asked for."""
    network = single(layer(dtype="float64"))
    slope, quotient = second_order_slope(network, *problem)
    np.testing.assert_allclose(slope, quotient, rtol=1e-7)
    zoo.MAML(keras.Sequential([keras.Input((6,)), layer()]), way=3)


@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False, "epsilon": 0.1}])
@pytest.mark.parametrize("name", KERAS_LAYERS)
def test_a_replaced_layer_answers_as_before(name, options):
    network = single(KERAS_LAYERS[name](**options))
    randomize(network)
    x = np.random.default_rng(1).standard_normal((3, *SHAPE))
    np.testing.assert_allclose(zoo.replace_normalization(network, "running")(x), network(x), rtol=1e-9)


@pytest.mark.parametrize(
    "layer, groups",
    [(LayerNorm(axis=[1, 2, 3], epsilon=0.5), 1), (GroupNorm(2, epsilon=0.5), 2), (GroupNorm(-1, epsilon=0.5), 6)],
)
def test_rows_are_normalized_by_themselves(layer, groups):
    """(x - mean) / sqrt(variance + epsilon) over places and the channels of a group, then gamma and beta."""
    x = np.random.default_rng(0).standard_normal((3, *SHAPE)).astype(np.float32)
    layer.build(x.shape)
    gamma, beta = (np.random.default_rng(seed).standard_normal(layer.gamma.shape) for seed in (1, 2))
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    grouped = x.reshape(3, 16, groups, -1)
    centred = grouped - grouped.mean(axis=(1, 3), keepdims=True)
    normalized = centred / np.sqrt(grouped.var(axis=(1, 3), keepdims=True) + 0.5)
    np.testing.assert_allclose(layer(x), normalized.reshape(x.shape) * gamma + beta, rtol=1e-4, atol=1e-5)
    assert layer(tf.cast(x, tf.float16)).dtype == tf.float16 or layer.compute_dtype == "float32"
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_groups_must_divide_the_channels():
    with pytest.raises(ValueError, match="`groups` must divide the 6 channels. Received: groups=4"):
        GroupNorm(4).build((None, *SHAPE))


@pytest.mark.parametrize("layer", [LayerNorm, GroupNorm])
def test_options_out_of_range_are_named(layer):
    with pytest.raises(ValueError, match="`epsilon` must be a number of at least 0. Received: epsilon=-0.1"):
        layer(epsilon=-0.1)
    with pytest.raises(ValueError, match="`scale` must be True or False. Received: scale='no'"):
        layer(scale="no")


# ---- whole networks


def randomize(network, seed=0):
    rng = np.random.default_rng(seed)
    for variable in network.variables:
        if variable.dtype != "uint32":
            variable.assign(0.1 * rng.standard_normal(variable.shape) if "mean" in variable.path else variable)
            variable.assign(rng.uniform(0.5, 1.5, variable.shape) if "variance" in variable.path else variable)


def branching():
    """A nested network that is called twice and frozen, a Sequential, an addition and Dropout."""
    inside = keras.Input(SHAPE)
    h = layers.BatchNormalization(name="frozen")(layers.Conv2D(6, 3, padding="same")(inside))
    nested = keras.Model(inside, h + inside, name="nested")
    inputs = keras.Input(SHAPE)
    h = layers.LayerNormalization()(nested(inputs))
    h = layers.Dropout(0.5)(layers.GroupNormalization(3)(nested(h)))
    tail = [keras.Input(SHAPE), layers.BatchNormalization(name="tail"), layers.Flatten(), layers.Dense(4)]
    network = keras.Model(inputs, keras.Sequential(tail)(h), name="branching")
    nested.trainable = False
    return network


def test_a_network_of_networks_keeps_names_weights_and_answers():
    network = branching()
    randomize(network)
    copy = zoo.replace_normalization(network, "running")
    x = np.random.default_rng(1).standard_normal((3, *SHAPE)).astype(np.float32)
    np.testing.assert_allclose(copy(x), network(x), rtol=1e-5, atol=1e-6)
    assert copy.name == "branching" and [v.path for v in copy.weights] == [v.path for v in network.weights]
    assert [v.path for v in copy.trainable_variables] == [v.path for v in network.trainable_variables]
    again = keras.Model.from_config(copy.get_config())
    again.set_weights(copy.get_weights())
    np.testing.assert_array_equal(again(x), copy(x))
    copy.layers[-1].layers[-1].kernel.assign_add(np.ones((96, 4)))
    assert np.abs(copy(x) - network(x)).max() > 1  # the copy has weights of its own


def test_frozen_layers_keep_their_averages_whatever_is_asked():
    copy = zoo.replace_normalization(branching(), "batch")
    norms = {layer.name: layer for layer in copy._flatten_layers() if isinstance(layer, BatchNorm)}
    assert {name: norm.statistics for name, norm in norms.items()} == {"frozen": "running", "tail": "batch"}
    network = branching()
    network.trainable = False
    assert not zoo.replace_normalization(network, "batch").trainable_variables


def test_a_large_pretrained_network_answers_as_before():
    network = keras.applications.ResNet50(include_top=False, pooling="avg", input_shape=(32, 32, 3), weights=None)
    randomize(network)
    copy = zoo.replace_normalization(network, statistics="running")
    norms = [layer for layer in copy._flatten_layers() if isinstance(layer, BatchNorm)]
    assert len(norms) == 53 and {(norm.epsilon, norm.momentum) for norm in norms} == {(1.001e-5, 0.99)}
    x = np.random.default_rng(1).standard_normal((2, 32, 32, 3)).astype(np.float32)
    answers = network(x).numpy()
    assert answers.std() > 0.01
    np.testing.assert_allclose(copy(x), answers, rtol=1e-4, atol=1e-4 * answers.std())


def test_a_compiled_network_keeps_its_training_to_itself():
    """By a loss of one's own, which Keras would look for by its name."""
    network = single(KERAS_LAYERS["batch"]())
    network.compile("adam", lambda y, outputs: outputs - y)
    outer = keras.Sequential([keras.Input(SHAPE, dtype="float64"), network])
    for model in (network, outer):
        copy = zoo.replace_normalization(model, "running")
        assert not any(getattr(layer, "compiled", False) for layer in copy._flatten_layers())
    assert network.compiled and network.optimizer is not None


class DoubledModel(keras.Sequential):
    def call(self, x, training=False):
        return 2 * super().call(x, training)


class Doubled(layers.BatchNormalization):
    def call(self, x, training=False):
        return 2 * super().call(x, training)


def hidden():
    return layers.TimeDistributed(layers.BatchNormalization(name="hidden"))


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: single(layers.BatchNormalization(axis=1)), "must be the last axis. Received: layer .*, axis=1"),
        (lambda: single(layers.GroupNormalization(2, axis=1)), "must be the last axis. Received: layer .*, axis=1"),
        (lambda: single(layers.BatchNormalization(renorm=True)), "have no `renorm`. Received: layer batch_norm"),
        (lambda: single(layers.LayerNormalization(gamma_regularizer="l2")), "have no `gamma_regularizer`. Received:"),
        (lambda: single(Doubled()), "A subclass of Keras' .* cannot be replaced. Received: layer .* of class Doubled$"),
        (
            lambda: single(DoubledModel([keras.Input(SHAPE, dtype="float64"), KERAS_LAYERS["batch"]()], name="own")),
            "has a `call` of its own cannot be copied: .* Received: own of class DoubledModel$",
        ),
        (lambda: single(hidden()), "inside of another layer cannot be replaced. Received: .*hidden"),
        (
            lambda: keras.Sequential([layers.BatchNormalization()]),
            "functional or Sequential .* that is built. Received:",
        ),
        (lambda: layers.BatchNormalization(), "functional or Sequential .* that is built. Received:"),
    ],
)
def test_what_cannot_be_replaced_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        zoo.replace_normalization(build(), "running")


def test_unknown_statistics_are_refused():
    with pytest.raises(ValueError, match="`statistics` must be one of .* Received: statistics='moving'"):
        zoo.replace_normalization(branching(), "moving")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
