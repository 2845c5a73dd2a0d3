"""A Keras model of the user's own under methods that do not adapt by gradients, whole, partly frozen and frozen.

Those that do adapt by gradients: tests/core/test_fast_weights.py.
"""

import sys

import keras
import numpy as np
import pytest
from keras import layers

import zoo
from tests import descriptors

SHAPE = descriptors.IMAGE_SHAPE


def own_network(maps=False):
    """With Keras' BatchNormalization, whose averages are far from their start."""
    tail = [] if maps else [layers.GlobalAveragePooling2D(), layers.Dense(6, name="free")]
    network = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(4, 3, strides=4, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Conv2D(4, 3, padding="same", name="free_conv"),
            *tail,
        ]
    )
    network.get_layer("norm").moving_mean.assign([0.1, 0.2, -0.1, 0.0])
    network.get_layer("norm").moving_variance.assign([0.5, 2.0, 1.0, 3.0])
    return network


def chain():
    parts = [layers.Conv2D(3, 3, padding="same", use_bias=False, name=name) for name in ("conv", "free_conv")]
    return keras.Sequential(
        [keras.Input(SHAPE), parts[0], layers.ReLU(), layers.MaxPool2D(4), parts[1], layers.ReLU(), layers.Flatten()]
    )


# A network, and a method on it.
METHODS = {
    "PrototypicalNetwork": (own_network, lambda network: zoo.PrototypicalNetwork(network, distance_scale="learned")),
    "FullContextMatchingNetwork": (
        own_network,
        lambda network: zoo.FullContextMatchingNetwork(network, num_processing_steps=1),
    ),
    "SiameseNetwork": (own_network, zoo.SiameseNetwork),
    "RelationNetwork": (lambda: own_network(maps=True), lambda network: zoo.RelationNetwork(network, way=3)),
    "MANN": (
        own_network,
        lambda network: zoo.MANN(network, 3, memory_slots=8, memory_width=4, num_read_heads=1, controller_size=8),
    ),
    "MetaNetwork": (chain, lambda network: zoo.MetaNetwork(network, way=3)),
}


@pytest.mark.parametrize("frozen", ["a part", pytest.param("all", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", METHODS)
def test_what_is_frozen_stays_and_the_rest_trains(name, frozen):
    keras.utils.set_random_seed(0)
    build, method = METHODS[name]
    backbone = build()
    for layer in backbone.layers:
        layer.trainable = frozen == "a part" and layer.name not in ("conv", "norm")
    model = method(backbone)
    free = {id(weight) for weight in backbone.trainable_weights}
    before = {weight.path: weight.numpy() for weight in model.weights}
    model.compile(optimizer=keras.optimizers.SGD(1.0), run_eagerly=True)
    x, y = descriptors.episode(num_tasks=1)
    model.train_on_batch(x, y)
    moved = {weight.path for weight in model.weights if np.abs(weight.numpy() - before[weight.path]).max() > 0}
    assert moved and moved <= {weight.path for weight in model.weights if weight.trainable or "moving" in weight.path}
    for weight in backbone.weights:
        assert (weight.path in moved) == (id(weight) in free), weight.path
    again = type(model).from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(x), model(x))
    assert len(again.trainable_weights) == len(model.trainable_weights)


def test_copies_of_a_model_standardize_as_it_does():
    """keras.layers.Normalization computes with constants that it copies from its weights."""
    levels = layers.Normalization(axis=-1)
    levels.adapt(np.random.default_rng(0).normal(3, 2, (50, 4)))
    model = zoo.PrototypicalNetwork(keras.Sequential([keras.Input((4,)), levels, layers.Dense(3)]))
    rows = np.eye(4, dtype=np.float32)
    for copy in (model.with_way(5), keras.models.clone_model(model)):
        copy.set_weights(model.get_weights())
        np.testing.assert_allclose(copy.backbone(rows), model.backbone(rows), rtol=1e-6)


class Own(keras.Model):
    """As people write them: without arguments for Keras, so that it can train and not be copied."""

    def __init__(self):
        super().__init__(name="own")
        self.parts = [layers.Conv2D(3, 3, strides=4), layers.BatchNormalization(), layers.Flatten()]

    def call(self, inputs):
        for part in self.parts:
            inputs = part(inputs)
        return inputs


@keras.saving.register_keras_serializable("tests")
class Copied(Own):
    def __init__(self, **kwargs):
        keras.Model.__init__(self, **kwargs)
        self.parts = [layers.Flatten(), layers.Dense(3)]

    def build(self, shape):
        self.parts[1].build((None, shape[1] * shape[2] * shape[3]))


def subclassed():
    return Own()


def within(network):
    images = keras.Input(SHAPE)
    return keras.Model(images, network(images))


@pytest.mark.parametrize("method", [zoo.PrototypicalNetwork, zoo.MAML])
def test_a_subclassed_model_within_a_functional_one_is_taken(method):
    model = method(within(Copied()), way=3)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    x, y = descriptors.episode(num_tasks=1)
    before = model.backbone.get_weights()
    model.train_on_batch(x, y)
    assert len(before) == 2 and all((new != old).any() for new, old in zip(model.backbone.get_weights(), before))
    again = type(model).from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(x), model(x))


def test_a_subclassed_model_that_cannot_be_copied_is_named():
    backbone = within(subclassed())
    model = zoo.PrototypicalNetwork(backbone)
    for attempt in (
        lambda: model.with_way(3),
        lambda: zoo.MAML(zoo.replace_normalization(backbone, "batch"), way=3),
    ):
        with pytest.raises(ValueError, match="its? .*`get_config` gives, `name` too. Received: .*Own$") as error:
            attempt()
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="through Keras' BatchNormalization these go wrong"):
        zoo.MAML(backbone, way=3)


def two_outputs():
    inputs = keras.Input((4,))
    return keras.Model(inputs, [inputs, 2 * inputs])


def called_twice():
    """Keras' layer; then the zoo's."""
    inputs, norm, conv = keras.Input((8, 8, 3)), layers.BatchNormalization(name="norm"), layers.Conv2D(3, 1)
    inner = keras.Sequential([keras.Input((8, 8, 3)), norm, conv], name="inner")
    return keras.Model(inputs, layers.Flatten()(inner(inner(inputs))))


def of_adapted_levels():
    """As ConvNeXt begins, and what was adapted to pictures of levels."""
    levels = layers.Normalization(axis=-1, name="adapted")
    levels.adapt(255 * np.random.default_rng(0).random((20, 8, 8, 3)))
    return keras.Sequential([keras.Input((8, 8, 3)), levels, layers.Flatten()])


def of_levels(nested=False):
    inputs = keras.Input((8, 8, 3))
    network = keras.Model(inputs, layers.Flatten()(layers.Rescaling(1 / 127.5, -1, name="levels")(inputs)))
    return keras.Sequential([keras.Input((8, 8, 3)), network, layers.Dense(3)]) if nested else network


def test_a_norm_that_is_called_twice_has_no_statistics_of_the_support_set():
    network = zoo.replace_normalization(called_twice(), statistics="batch")
    for method in (zoo.MAML, zoo.ANIL, lambda network, way: zoo.Reptile(network, way, evaluation="support")):
        with pytest.raises(
            ValueError, match="of one call of each zoo.BatchNorm. Received: norm, called 2 times"
        ) as error:
            method(network, way=3)
        assert "\n" not in str(error.value)
    assert zoo.MAML(network, way=3, query_statistics="queries").transductive
    assert zoo.PrototypicalNetwork(zoo.replace_normalization(called_twice(), "running")).way is None


def test_a_network_made_with_lists_of_one_is_taken():
    """As `keras.Model(base.inputs, base.outputs)` is."""
    inputs = keras.Input((4,))
    network = keras.Model([inputs], [2 * inputs])
    x = {"support_x": np.eye(4, dtype=np.float32)[None, :2], "support_y": np.array([[0, 1]])}
    x["query_x"] = x["support_x"]
    model = zoo.PrototypicalNetwork(network, distance_scale=1.0)
    np.testing.assert_allclose(model(x)[0], [[0, -8], [-8, 0]])  # 2 e_0 and 2 e_1
    assert zoo.MAML(network, way=3).network.output_shape == (None, 3)


def test_levels_that_are_divided_after_a_multiplication_are_taken():
    inputs = keras.Input((8, 8, 3))
    assert zoo.PrototypicalNetwork(keras.Model(inputs, of_levels()(layers.Rescaling(255)(inputs)))).way is None


@pytest.mark.parametrize(
    "build, message",
    [
        (of_levels, "images from 0 to 1. Received: layer levels, which multiplies levels up to 255 by 0.007"),
        (lambda: of_levels(nested=True), "Received: layer levels, .*; put keras.layers.Rescaling.255. before"),
        (of_adapted_levels, "Received: layer adapted, which multiplies levels up to 255 by 0.01.*; put"),
        (lambda: keras.Model({"a": (i := keras.Input((4,), name="a"))}, 2 * i), "Received: a dict as its input; "),
        (lambda: keras.Model(i := keras.Input((4,)), {"a": 2 * i}), "Received: a dict as its output; "),
        (
            subclassed,
            "must be a functional or built Sequential keras.Model .* Received: Own 'own', which has no inputs yet; keras.Model",
        ),
        (two_outputs, "Received: 1 inputs and 2 outputs"),
        (
            lambda: own_network(maps=True),
            r"must give embeddings \[B, D\].* Received: output shape \(None, 4, 4, 4\); put a",
        ),
        (lambda: layers.Dense(3), "`backbone` must be a keras.Model. Received: <Dense"),
    ],
)
def test_what_no_method_can_take_is_refused_in_one_line(build, message):
    for method in (zoo.PrototypicalNetwork, zoo.MAML, zoo.MANN):
        with pytest.raises(ValueError, match=message) as error:
            method(build(), way=3)
        assert "\n" not in str(error.value)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
