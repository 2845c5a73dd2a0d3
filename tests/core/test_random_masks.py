"""Dropout in a backbone: methods that embed all tasks in one pass draw a new mask at each training step, and none at inference."""

import math
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests.descriptors import IMAGE_SHAPE, WAY, episode

layers = keras.layers


def flat(rate):
    """A backbone whose weights are the identity: the pixels themselves, as embeddings that show what is dropped."""
    pixels = math.prod(IMAGE_SHAPE)
    identity = layers.Dense(pixels, use_bias=False, kernel_initializer="identity")
    return keras.Sequential([keras.Input(IMAGE_SHAPE), layers.Flatten(), identity, layers.Dropout(rate)])


METHODS = {
    "prototypical": lambda backbone: zoo.PrototypicalNetwork(backbone, way=WAY),
    "matching": lambda backbone: zoo.MatchingNetwork(backbone, way=WAY),
    "siamese": lambda backbone: zoo.SiameseNetwork(backbone, way=WAY),
    "mann": lambda backbone: zoo.MANN(backbone, WAY, memory_slots=8, memory_width=4, controller_size=8),
}


def build(method, rate, seed=0):
    keras.utils.set_random_seed(seed)
    return METHODS[method](flat(rate))


@pytest.mark.parametrize("method", METHODS)
def test_every_training_step_draws_a_mask_of_its_own_that_follows_the_seed(method):
    """Losses of compiled steps on one episode whose learning rate is 0."""
    x, y = episode()
    runs = []
    for seed in (0, 0, 1):
        model = build(method, 0.5, seed)
        model.compile(keras.optimizers.SGD(0.0))
        runs.append(model.fit(x, y, batch_size=2, epochs=3, shuffle=False, verbose=0).history["loss"])
    assert len(set(runs[0])) == 3 and runs[0] == runs[1] and runs[0] != runs[2]


def test_every_row_of_every_task_draws_a_mask_of_its_own():
    """Images of ones, four rows of each of two tasks."""
    model = build("prototypical", 0.5)
    masks = model.embed(tf.ones([2, 4, *IMAGE_SHAPE]), training=True).numpy().reshape(8, -1)
    assert len({mask.tobytes() for mask in masks}) == 8 and set(np.unique(masks)) == {0, 2}


@pytest.mark.parametrize("method", METHODS)
def test_inference_draws_nothing(method):
    x, y = episode()
    model, plain = build(method, 0.9), build(method, 0.0)
    for variable, value in zip(plain.trainable_variables, model.trainable_variables):
        variable.assign(value)
    np.testing.assert_allclose(model(x), plain(x), rtol=1e-5, atol=1e-6)
    model.compile()
    plain.compile()
    np.testing.assert_allclose(model.test_step((x, y))["loss"], plain.test_step((x, y))["loss"], rtol=1e-5)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
