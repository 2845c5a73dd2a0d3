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


def subclassed():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    return Own(name="own")


def two_outputs():
    inputs = keras.Input((4,))
    return keras.Model(inputs, [inputs, 2 * inputs])


@pytest.mark.parametrize(
    "build, message",
    [
        (
            subclassed,
            "must be a functional or built Sequential keras.Model .* Received: Own 'own', which has no inputs yet",
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
