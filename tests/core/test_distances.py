import sys

import numpy as np
import pytest
import tensorflow as tf

from zoo.core import distances


def test_squared_euclidean_against_the_definition():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 5, 7)), rng.standard_normal((2, 3, 7))
    expected = ((a[:, :, None] - b[:, None]) ** 2).sum(axis=-1)
    np.testing.assert_allclose(distances.squared_euclidean(a, b), expected, rtol=1e-10)


@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize("length", [1.0, 1000.0])
def test_long_rows_that_are_near_each_other_keep_their_digits(length, in_graph):
    """Rows of that length at distances around 1, in float32 beside float64: all digits but the last."""
    rng = np.random.default_rng(1)
    centre = rng.standard_normal((2, 1, 64))
    centre *= length / np.linalg.norm(centre, axis=-1, keepdims=True)
    a, b = ((centre + 0.1 * rng.standard_normal((2, rows, 64))).astype(np.float32) for rows in (40, 20))
    expected = ((a[:, :, None].astype(np.float64) - b[:, None]) ** 2).sum(axis=-1)
    function = tf.function(distances.squared_euclidean) if in_graph else distances.squared_euclidean
    np.testing.assert_allclose(function(tf.constant(a), tf.constant(b)), expected, rtol=1e-6)
    np.testing.assert_array_equal(np.diagonal(np.asarray(function(tf.constant(a), tf.constant(a)))[0]), 0)


def test_the_gradients_against_finite_differences_and_the_second_too():
    rng = np.random.default_rng(2)
    a, b = tf.constant(rng.standard_normal((2, 3, 4))), tf.constant(rng.standard_normal((2, 5, 4)))
    weights = rng.standard_normal((2, 3, 5))

    def loss(a, b):
        return tf.reduce_sum(weights * tf.exp(-distances.squared_euclidean(a, b)))

    def plain(a, b):
        return tf.reduce_sum(weights * tf.exp(-tf.reduce_sum((a[:, :, None] - b[:, None]) ** 2, axis=-1)))

    def derivatives(function):
        with tf.GradientTape() as outer:
            outer.watch([a, b])
            with tf.GradientTape() as tape:
                tape.watch([a, b])
                value = function(a, b)
            first = tape.gradient(value, [a, b])
            total = sum(tf.reduce_sum(gradient**3) for gradient in first)
        return [*first, *outer.gradient(total, [a, b])]

    for ours, expected in zip(derivatives(loss), derivatives(plain)):
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-12)


def test_many_rows_are_taken_block_by_block(monkeypatch):
    """Blocks of two rows, the last with one, and blocks smaller than a row: the same distances."""
    rng = np.random.default_rng(3)
    a, b = (tf.constant(rng.standard_normal((2, rows, 4))) for rows in (5, 3))
    expected = distances.squared_euclidean(a, b)
    for block in (2 * 2 * 3 * 4, 1):
        monkeypatch.setattr(distances, "_BLOCK", block)
        np.testing.assert_allclose(distances.squared_euclidean(a, b), expected, rtol=1e-12)
        specs = [tf.TensorSpec([None, None, 4], tf.float64)] * 2
        graph = tf.function(distances.squared_euclidean, input_signature=specs)
        np.testing.assert_allclose(graph(a, b), expected, rtol=1e-12)
    assert distances.squared_euclidean(a[:, :0], b).shape == (2, 0, 3)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
