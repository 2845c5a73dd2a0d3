import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.core import batched_operations, convolution, task_loop

CASES = {
    "same": dict(padding="SAME"),
    "valid": dict(padding="VALID"),
    "strided": dict(strides=(2, 3), padding="SAME"),
    "strided_valid": dict(strides=2, padding="VALID"),
    "dilated": dict(dilations=(1, 2), padding="SAME"),
}


@pytest.mark.parametrize("kernel_size", [(3, 3), (2, 1), (4, 3)])
@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_patches_times_a_matrix_are_the_convolution(options, kernel_size, monkeypatch):
    monkeypatch.setattr(convolution, "groups_have_gradients", lambda dtype: False)
    rng = np.random.default_rng(0)
    x, kernel = tf.constant(rng.random((2, 8, 7, 3))), tf.constant(rng.random((*kernel_size, 3, 4)))
    with task_loop.tasks_at_once():
        received = convolution.convolve(x, kernel, **options)
    strides, dilations = options.get("strides", 1), options.get("dilations", 1)
    expected = tf.nn.conv2d(x, kernel, strides, options["padding"], dilations=dilations)
    np.testing.assert_allclose(received, expected, rtol=1e-12)


def derivatives(of_task, x, kernel):
    """Maps of each task, gradients of their squares, and those of the gradients' squares: a task's tape within that of all."""

    def task(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            maps = of_task(*values)
            loss = tf.reduce_sum(maps**2)
        return maps, *tape.gradient(loss, values)

    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        maps, *slopes = (
            tf.vectorized_map(task, (x, kernel), fallback_to_while_loop=False)
            if task_loop.at_once()
            else [tf.stack(values) for values in zip(*map(task, zip(x, kernel)))]
        )
        total = sum(tf.reduce_sum(slope**2) for slope in slopes)
    return [maps, *slopes, *tape.gradient(total, [x, kernel])]


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("options", [CASES["same"], CASES["strided_valid"]], ids=["same", "strided_valid"])
def test_tasks_are_groups_of_one_convolution(options, groups):
    """Second derivatives included; of a network whose own kernels are grouped, too. Not by a while-loop, as TensorFlow has it."""
    if not convolution.groups_have_gradients(tf.float32):
        pytest.skip("TensorFlow runs without oneDNN here")
    batched_operations.register()
    x = tf.random.stateless_normal((2, 3, 6, 5, 3), [0, 1])
    kernel = tf.random.stateless_normal((2, 3, 3, 3 // groups, 6), [0, 2])

    def convolve(x, kernel):
        return convolution.convolve(x, kernel, **options)

    expected = derivatives(convolve, x, kernel)
    with task_loop.tasks_at_once():
        graph = tf.function(lambda: derivatives(convolve, x, kernel), autograph=False).get_concrete_function()
    for received, value in zip(graph(), expected, strict=True):
        np.testing.assert_allclose(received, value, rtol=1e-4, atol=1e-4 * float(tf.reduce_max(tf.abs(value))))
    kinds = {op.type for op in graph.graph.get_operations()}
    assert "Conv2DBackpropFilter" in kinds and not {"While", "StatelessWhile", "MatMul", "BatchMatMulV2"} & kinds


def test_a_network_of_keras_convolves_so_where_tasks_are_run_at_once(monkeypatch):
    monkeypatch.setattr(convolution, "groups_have_gradients", lambda dtype: False)
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
