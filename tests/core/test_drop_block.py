import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors
from zoo.core.drop_block import DropBlock
from zoo.core.random_masks import SeedStates, drawn_at


def test_squares_are_dropped_and_the_mean_stays():
    """Blocks of 3 on maps of 7: each zero lies in a square of zeros inside the map, and a tenth of the places are zeros."""
    layer = DropBlock(block_size=3, rate=0.1, seed=0)
    x = tf.ones([64, 7, 7, 32])
    y = layer(x, training=True).numpy()
    np.testing.assert_allclose(y.mean(), 1, rtol=1e-5)
    kept = y != 0
    np.testing.assert_allclose(y[kept], 1 / kept.mean(), rtol=1e-5)
    squares = np.lib.stride_tricks.sliding_window_view(~kept, (3, 3), axis=(1, 2)).all(axis=(-1, -2))  # [64, 5, 5, 32]
    covered = np.zeros_like(kept)
    for i in range(3):
        for j in range(3):
            covered[:, i : i + 5, j : j + 5] |= squares
    np.testing.assert_array_equal(covered, ~kept)
    # Starts of probability gamma = 0.1 / 9 * 49 / 25. The middle place is in 9 squares, a corner in 1.
    gamma = 0.1 / 9 * 49 / 25
    np.testing.assert_allclose(1 - kept[:, 3, 3].mean(), 1 - (1 - gamma) ** 9, atol=0.04)  # 2048 draws: 5 deviations
    np.testing.assert_allclose(1 - kept[:, 0, 0].mean(), gamma, atol=0.02)
    assert kept.any(axis=(1, 2)).mean() > 0.9 and (kept[..., 0] != kept[..., 1]).any()  # by channel
    np.testing.assert_array_equal(layer(x), x)


def test_small_maps_are_dropped_whole_and_half_precision_stays():
    layer = DropBlock(block_size=5, rate=0.25, seed=0, dtype="float16")
    y = layer(tf.ones([256, 2, 3, 8], tf.float16), training=True)
    assert y.dtype == tf.float16
    zeros = (y.numpy() == 0).reshape(256, 6, 8)
    np.testing.assert_array_equal(zeros.all(axis=1), zeros.any(axis=1))
    np.testing.assert_allclose(zeros.mean(), 0.25, atol=0.05)


def test_every_task_and_inner_step_draws_its_own():
    inputs = keras.Input((4, 4, 8))
    network = keras.Model(inputs, DropBlock(2, 0.4, seed=0)(inputs))
    seeds, x = SeedStates(network), tf.ones([1, 4, 4, 8])

    def call(*place):
        with drawn_at(place[0]), drawn_at(place[1]):
            states = seeds.values(network.non_trainable_variables)
            return (network.stateless_call([], states, x, training=True)[0].numpy() == 0).tobytes()

    places = [(task, step) for task in range(3) for step in range(3)]
    drawn = {place: call(*place) for place in places}
    assert len(set(drawn.values())) == 9 and call(1, 2) == drawn[1, 2]
    seeds.advance()
    assert call(1, 2) not in drawn.values()


def test_a_task_is_learned_through_it_and_the_answer_has_none():
    """The loss of MAML under DropBlock differs from step to step on one batch; its answers do not."""
    keras.utils.set_random_seed(0)
    conv = keras.layers.Conv2D(2, 3, strides=4, activation="relu")
    backbone = keras.Sequential([keras.Input(descriptors.IMAGE_SHAPE), conv, DropBlock(2, 0.5), keras.layers.Flatten()])
    model = zoo.MAML(backbone, way=3, num_inner_steps=1, inner_learning_rate=0.1)
    x, y = descriptors.episode()
    step = tf.function(model.compute_gradients, autograph=False)
    losses = [float(step(x, y)[0]) for _ in range(3)]
    assert len(set(losses)) == 3
    np.testing.assert_array_equal(model(x), model(x))


def test_serialization_and_bad_values():
    layer = DropBlock(3, 0.2, seed=7, name="drop")
    config = DropBlock.from_config(layer.get_config()).get_config()
    assert (config["block_size"], config["rate"], config["seed"]) == (3, 0.2, 7)
    for options, message in (
        ({"block_size": 0}, "`block_size` must be an int of at least 1"),
        ({"rate": 1.0}, "`rate` must be a number of at least 0 and below 1. Received: rate=1.0"),
        ({"rate": -0.1}, "`rate` must be a number of at least 0"),
    ):
        with pytest.raises(ValueError, match=message):
            DropBlock(**options)
    with pytest.raises(ValueError, match="maps of known size"):
        DropBlock()(keras.Input((None, None, 3)))


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
