"""The ways to convolve with a kernel a task are the same convolution."""

import sys

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import convolution_ways


def test_the_ways_agree():
    images, kernels = tf.random.normal([2, 3, 5, 5, 4]), tf.random.normal([2, 3, 3, 4, 6])
    expected = [tf.nn.conv2d(x, kernel, 1, "SAME") for x, kernel in zip(images, kernels)]
    for name, way in convolution_ways.ways().items():
        np.testing.assert_allclose(way(images, kernels), expected, atol=1e-4, err_msg=name)


def test_every_way_is_timed(monkeypatch):
    """Or said to be missing, as grouped convolutions' gradients are where TensorFlow has no oneDNN."""
    monkeypatch.setattr(convolution_ways, "_ROUNDS", 1)
    times = convolution_ways.milliseconds((2, 3, 5, 4, 6))
    assert list(times) == ["one by one", "grouped", "patches"] and times["patches"] > 0 and times["one by one"] > 0


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
