import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.core.batch_norm import (
    BatchNorm,
    batch_statistics,
    given_statistics,
    recorded_statistics,
    weighted_rows,
    written_out,
)
from zoo.core.image_block import ImageBlock
from zoo.core.task_loop import tasks_at_once


def second_order_slope(layer, x, w, direction):
    """d/ds of |grad_w loss|^2 along `direction`, where the loss goes through `layer`: what an inner step needs."""

    def inner(weights):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            outputs = layer(tf.tensordot(x, weights, 1), training=True)
            loss = tf.reduce_sum(tf.nn.softplus(outputs[:2])) - tf.reduce_sum(tf.nn.softplus(outputs[2:]) ** 2)
        gradient = tape.gradient(loss, weights)
        return tf.reduce_sum(gradient**2)

    with tf.GradientTape() as tape:
        tape.watch(w)
        value = inner(w)
    slope = tf.reduce_sum(tape.gradient(value, w) * direction)
    step = 1e-5
    quotient = (inner(w + step * direction) - inner(w - step * direction)) / (2 * step)
    return float(slope), float(quotient)


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    return [tf.constant(rng.standard_normal(shape)) for shape in ((6, 5, 5, 3), (3, 4), (3, 4))]


def test_second_derivative_agrees_with_finite_differences(problem):
    slope, quotient = second_order_slope(BatchNorm("batch", dtype="float64"), *problem)
    np.testing.assert_allclose(slope, quotient, rtol=1e-7)


def test_the_keras_layer_has_a_wrong_second_derivative(problem):
    """Why this layer exists. Should Keras mend it, this fails, and README's claim has to go."""
    slope, quotient = second_order_slope(keras.layers.BatchNormalization(dtype="float64"), *problem)
    assert abs(slope - quotient) > 0.01 * abs(quotient)


def test_fused_and_written_out_forms_agree_in_second_order(problem):
    fused, _ = second_order_slope(BatchNorm("batch"), *[tf.cast(value, tf.float32) for value in problem])
    written_out, _ = second_order_slope(BatchNorm("batch", dtype="float64"), *problem)
    np.testing.assert_allclose(fused, written_out, rtol=1e-4)


def test_written_out_has_the_same_statistics_and_no_fused_op():
    layer, x = BatchNorm("batch"), tf.constant(np.random.default_rng(0).standard_normal((6, 5, 5, 3)), tf.float32)

    def normalize(images):
        with recorded_statistics() as recorded:
            outputs = layer(images)
        return (outputs, *recorded[layer])

    def without_fused(images):
        with written_out():
            return normalize(images)

    for one, other in zip(normalize(x), without_fused(x)):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    fused = [
        sum("FusedBatchNorm" in op.type for op in tf.function(f).get_concrete_function(x).graph.get_operations())
        for f in (normalize, without_fused)
    ]
    assert fused[0] > 0 and fused[1] == 0


def test_a_third_derivative_of_the_fused_form_is_refused():
    x = tf.constant(np.random.default_rng(0).standard_normal((2, 2, 2, 1)), tf.float32)
    with tf.GradientTape() as third, tf.GradientTape() as second, tf.GradientTape() as first:
        for tape in (third, second, first):
            tape.watch(x)
        loss = tf.reduce_sum(BatchNorm("batch")(x) ** 3)
        slope = tf.reduce_sum(first.gradient(loss, x) ** 2)
        curvature = tf.reduce_sum(second.gradient(slope, x) ** 2)
    with pytest.raises(NotImplementedError, match="no third derivative"):
        third.gradient(curvature, x)


@pytest.mark.parametrize("epsilon", [1e-3, 0.5])
def test_second_derivative_by_every_input_of_the_fused_form(epsilon):
    """By x, gamma and beta, with cotangents of all three first derivatives, against autodiff of the written-out form."""
    rng = np.random.default_rng(0)
    x, gamma, beta = rng.standard_normal((4, 3, 3, 2)) + 1.0, rng.standard_normal(2), rng.standard_normal(2)
    weights = rng.standard_normal((4, 3, 3, 2)), rng.standard_normal((4, 3, 3, 2)), rng.standard_normal(2)

    def second(dtype):
        layer = BatchNorm("batch", epsilon=epsilon, dtype=dtype)
        layer.build((None, 3, 3, 2))
        layer.gamma.assign(gamma)
        layer.beta.assign(beta)
        w_out, w_x, w_c = (tf.constant(value, dtype) for value in weights)
        inputs, variables = tf.constant(x, dtype), [layer.gamma.value, layer.beta.value]
        with tf.GradientTape() as outer:
            outer.watch(inputs)
            with tf.GradientTape() as inner:
                inner.watch(inputs)
                loss = tf.reduce_sum(tf.sin(layer(inputs)) * w_out)
            by_x, by_gamma, by_beta = inner.gradient(loss, [inputs, *variables])
            value = tf.reduce_sum(by_x * w_x) + tf.reduce_sum(by_gamma * w_c) + 2.0 * tf.reduce_sum(by_beta * w_c)
        return outer.gradient(value, [inputs, *variables])

    for fused, formula in zip(second("float32"), second("float64")):
        np.testing.assert_allclose(fused, formula, rtol=1e-4, atol=1e-4)


def test_batch_statistics_by_hand():
    x = tf.constant([[1.0, 10.0], [3.0, 30.0]])  # means 2 and 20, variances 1 and 100
    outputs = BatchNorm("batch", epsilon=0.0)(x, training=False)
    np.testing.assert_allclose(outputs, [[-1, -1], [1, 1]], rtol=1e-6)


@pytest.mark.parametrize("shape", [(4, 1), (4, 1, 1, 1)], ids=["written out", "fused"])
def test_moving_averages_by_hand(shape):
    layer = BatchNorm("running", momentum=0.9, epsilon=0.0)
    x = tf.reshape(tf.constant([0.0, 2.0, 4.0, 6.0]), shape)  # mean 3, unbiased variance 20 / 3
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean, [0.3], rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, [0.9 + 0.1 * 20 / 3], rtol=1e-6)
    expected = (np.reshape(x, -1) - 0.3) / np.sqrt(0.9 + 0.1 * 20 / 3)
    np.testing.assert_allclose(np.reshape(layer(x, training=False), -1), expected, rtol=1e-5)


@pytest.mark.parametrize("make", [BatchNorm, lambda statistics: ImageBlock(2, statistics=statistics)])
def test_frozen_statistics_stay_and_let_gamma_and_beta_train(make):
    x = tf.random.stateless_uniform([3, 4, 4, 2], [1, 2])
    trained, frozen = make("running"), make("frozen")
    trained(x, training=True)
    frozen(x)
    frozen.set_weights(trained.get_weights())
    with tf.GradientTape() as tape, recorded_statistics() as recorded:
        outputs = frozen(x, training=True)
        loss = tf.reduce_sum(tf.square(outputs))
    np.testing.assert_allclose(outputs, trained(x), rtol=1e-6)
    assert not recorded
    np.testing.assert_array_equal(frozen.get_weights()[-1], trained.get_weights()[-1])
    names = {variable.name for variable in frozen.trainable_variables}
    assert {"gamma", "beta"} <= names
    assert all(tf.norm(slope) > 0 for slope in tape.gradient(loss, frozen.trainable_variables))


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "mixed_bfloat16"])
@pytest.mark.parametrize("shape", [(64, 2), (8, 4, 4, 2)], ids=["vectors", "images"])
def test_a_variance_beyond_float16_is_kept_and_normalized_by(policy, shape):
    """Inputs of deviation 1,000 have a variance of 1e6, and float16 ends at 65,504."""
    x = 1000 * np.random.default_rng(0).standard_normal(shape).astype("float32")
    layer = BatchNorm("running", dtype=policy)
    outputs = layer(x, training=True)
    assert outputs.dtype == layer.compute_dtype and layer.moving_variance.dtype == "float32"
    values = tf.cast(tf.cast(x, outputs.dtype), tf.float64).numpy().reshape(-1, 2)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.9 + 0.1 * values.var(axis=0, ddof=1), rtol=1e-4)
    normalized = (values - values.mean(axis=0)) / values.std(axis=0)
    np.testing.assert_allclose(np.reshape(tf.cast(outputs, tf.float32), (-1, 2)), normalized, rtol=0.01, atol=0.01)
    layer.moving_mean.assign(values.mean(axis=0))
    layer.moving_variance.assign(values.var(axis=0))
    alone = tf.cast(layer(x, training=False), tf.float32)
    np.testing.assert_allclose(np.reshape(alone, (-1, 2)), normalized, rtol=0.01, atol=0.01)


def test_unknown_statistics_are_refused():
    with pytest.raises(ValueError, match="`statistics` must be one of .* Received: statistics='moving'"):
        BatchNorm("moving")


@pytest.mark.parametrize("shape", [(6, 4), (3, 5, 5, 4)], ids=["dense", "fused"])
def test_other_rows_are_normalized_by_recorded_statistics(shape):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with the mean and the variance of the recorded rows."""
    rng = np.random.default_rng(0)
    layer = BatchNorm("batch")
    rows, others = (tf.constant(rng.standard_normal(shape) * scale, tf.float32) for scale in (2, 3))
    layer.build(shape)
    layer.gamma.assign(rng.random(4))
    layer.beta.assign(rng.random(4))
    with recorded_statistics() as statistics:
        recorded = layer(rows)
    axes = tuple(range(len(shape) - 1))
    mean, variance = rows.numpy().mean(axes), rows.numpy().var(axes)
    np.testing.assert_allclose(statistics[layer][0], mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(statistics[layer][1], variance, rtol=1e-5)
    with given_statistics(statistics):
        outputs, again = layer(others), layer(rows)
    expected = layer.gamma * (others - mean) / np.sqrt(variance + layer.epsilon) + layer.beta
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(again, recorded, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(recorded, layer(rows), rtol=1e-6)  # recording changes nothing


def test_recorded_statistics_are_differentiated():
    """The gradient of what they normalize, by the rows that they are of: fused, against the form written out in float64."""
    rng = np.random.default_rng(0)
    rows, others = rng.standard_normal((3, 5, 5, 4)), rng.standard_normal((2, 5, 5, 4))
    gradients = []
    for dtype in ("float32", "float64"):
        layer, x, other = BatchNorm("batch", dtype=dtype), tf.constant(rows, dtype), tf.constant(others, dtype)
        with tf.GradientTape() as tape:
            tape.watch(x)
            with recorded_statistics() as statistics:
                loss = tf.reduce_sum(layer(x) ** 3)
            with given_statistics(statistics):
                loss += tf.reduce_sum(layer(other) ** 3)
        gradients.append(tape.gradient(loss, x))
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-3, atol=1e-3)


def test_a_layer_called_twice_has_no_one_statistic():
    layer = BatchNorm("batch")
    with recorded_statistics():
        layer(tf.ones([2, 3]))
        with pytest.raises(ValueError, match="can be called once"):
            layer(tf.ones([2, 3]))


def test_batch_statistics_leave_the_averages():
    layer, x = BatchNorm("running"), tf.constant(np.random.default_rng(0).standard_normal((8, 3)), tf.float32)
    with batch_statistics():
        outputs = layer(x)
    np.testing.assert_allclose(np.mean(outputs, axis=0), 0, atol=1e-6)
    np.testing.assert_array_equal(layer.moving_mean, 0)
    assert not np.allclose(layer(x), outputs)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"momentum": 1.5}, "`momentum` must be a number of at least 0 and of at most 1. Received: momentum=1.5"),
        ({"momentum": "0.9"}, "`momentum` must be a number .* Received: momentum='0.9'"),
        ({"epsilon": -1}, "`epsilon` must be a number of at least 0. Received: epsilon=-1"),
        ({"epsilon": "1e-3"}, "`epsilon` must be a number .* Received: epsilon='1e-3'"),
        ({"center": "no"}, "`center` must be True or False. Received: center='no'"),
        ({"scale": 1}, "`scale` must be True or False. Received: scale=1"),
        ({"statistics": "moving"}, "`statistics` must be one of .* Received: statistics='moving'"),
    ],
)
@pytest.mark.parametrize("layer", [BatchNorm, lambda **options: ImageBlock(4, **options)], ids=["norm", "block"])
def test_options_out_of_range_are_named(layer, options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        layer(**options)


@pytest.mark.parametrize("make", [BatchNorm, lambda statistics: ImageBlock(3, pool_size=2, statistics=statistics)])
@pytest.mark.parametrize("counted", [[0, 2, 3], []], ids=["some", "none"])
def test_rows_of_weight_zero_are_no_part_of_the_statistics(make, counted):
    """Where none counts, the statistics are those of the first."""
    x = tf.constant(np.random.default_rng(0).random((5, 4, 4, 2), np.float32))
    layer = make("batch")
    layer.build(x.shape)
    with recorded_statistics() as expected:
        outputs = layer(tf.gather(x, counted or [0]))
    weights = tf.reduce_sum(tf.one_hot(counted, 5), axis=0)
    with tasks_at_once(), recorded_statistics() as received, weighted_rows(weights):
        np.testing.assert_allclose(tf.gather(layer(x), counted or [0]), outputs, rtol=1e-4, atol=1e-5)
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), list(received.values()), list(expected.values())
    )


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
