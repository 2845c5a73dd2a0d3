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


METHODS = {
    "PrototypicalNetwork": lambda: zoo.PrototypicalNetwork(own_network(), distance_scale="learned"),
    "FullContextMatchingNetwork": lambda: zoo.FullContextMatchingNetwork(own_network(), num_processing_steps=1),
    "SiameseNetwork": lambda: zoo.SiameseNetwork(own_network()),
    "RelationNetwork": lambda: zoo.RelationNetwork(own_network(maps=True), way=3),
    "MANN": lambda: zoo.MANN(own_network(), way=3, memory_slots=8, memory_width=4, num_read_heads=1, controller_size=8),
    "MetaNetwork": lambda: zoo.MetaNetwork(chain(), way=3),
}


@pytest.mark.parametrize("frozen", ["nothing", "a part", "all"])
@pytest.mark.parametrize("name", METHODS)
def test_what_is_frozen_stays_and_the_rest_trains(name, frozen):
    keras.utils.set_random_seed(0)
    model = METHODS[name]()
    backbone = model.backbone
    if frozen == "all":
        backbone.trainable = False
    elif frozen == "a part":
        for layer in backbone.layers:
            layer.trainable = layer.name not in ("conv", "norm")
    fixed = [weight for weight in backbone.weights if not any(weight is other for other in backbone.trainable_weights)]
    # Averages of a norm that is not frozen are no weights to train, and move.
    fixed = [weight for weight in fixed if frozen != "nothing"]
    before = [weight.numpy() for weight in fixed]
    free = [(weight, weight.numpy()) for weight in model.trainable_weights]
    model.compile(optimizer=keras.optimizers.SGD(1.0))
    x, y = descriptors.episode()
    model.train_on_batch(x, y)
    for weight, value in zip(fixed, before, strict=True):
        np.testing.assert_array_equal(weight, value, err_msg=weight.path)
    moved = {weight.path for weight, value in free if np.abs(weight.numpy() - value).max() > 0}
    assert len(moved) >= len(free) // 2 and (frozen == "all") == (
        not any("conv" in path for path in moved & paths(backbone))
    )
    again = type(model).from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(x), model(x))
    assert len(again.trainable_weights) == len(model.trainable_weights)


def paths(backbone):
    return {weight.path for weight in backbone.weights}


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
