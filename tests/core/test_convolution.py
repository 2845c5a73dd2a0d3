import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.core import convolution, task_loop

CASES = {
    "same": dict(padding="SAME"),
    "valid": dict(padding="VALID"),
    "strided": dict(strides=(2, 3), padding="SAME"),
    "strided_valid": dict(strides=2, padding="VALID"),
    "dilated": dict(dilations=(1, 2), padding="SAME"),
}


@pytest.mark.parametrize("kernel_size", [(3, 3), (2, 1), (4, 3)])
@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_patches_times_a_matrix_are_the_convolution(options, kernel_size):
    rng = np.random.default_rng(0)
    x, kernel = tf.constant(rng.random((2, 8, 7, 3))), tf.constant(rng.random((*kernel_size, 3, 4)))
    with task_loop.tasks_at_once():
        received = convolution.convolve(x, kernel, **options)
    strides, dilations = options.get("strides", 1), options.get("dilations", 1)
    expected = tf.nn.conv2d(x, kernel, strides, options["padding"], dilations=dilations)
    np.testing.assert_allclose(received, expected, rtol=1e-12)


def test_a_network_of_keras_convolves_so_where_tasks_are_run_at_once():
    layer = keras.layers.Conv2D(4, 3, strides=2, padding="same", use_bias=True, bias_initializer="ones")
    network = keras.Sequential([keras.Input((5, 6, 2)), layer])
    convolution.batch_convolutions(network)

    @tf.function(autograph=False)
    def outputs(x):
        return network(x)

    x = tf.random.stateless_uniform((2, 5, 6, 2), [0, 1])
    expected = outputs(x)
    with task_loop.tasks_at_once():
        at_once = tf.function(lambda: network(x), autograph=False)
        np.testing.assert_allclose(at_once(), expected, rtol=1e-5, atol=1e-6)
    kinds = {op.type for op in at_once.get_concrete_function().graph.get_operations()}
    assert "Conv2D" not in kinds and "Conv2D" in {
        o.type for o in outputs.get_concrete_function(x).graph.get_operations()
    }


def test_images_of_unknown_size_have_no_patches():
    with pytest.raises(ValueError, match=r"known height and width. Received: shape=\(2, None, 4, 1\)"):
        tf.function(convolution.patches, autograph=False).get_concrete_function(
            tf.TensorSpec((2, None, 4, 1)), kernel_size=(3, 3)
        )


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
