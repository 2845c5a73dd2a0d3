import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.core.batch_norm import BatchNorm
from zoo.core.image_block import ImageBlock

OPTIONS = {
    "pooled": {"pool_size": 2},
    "strided": {"strides": 2, "scale": False},
    "valid": {"padding": "valid", "pool_size": 2, "kernel_size": 5},
    "colours": {"channels": 3, "center": False},
    "softplus": {"activation": "softplus", "pool_size": 2},
    "running": {"statistics": "running", "momentum": 0.5, "pool_size": 2},
}


def make_problem(channels=1, statistics="batch", dtype="float64", **options):
    """Block, images and the same computed layer by layer, as a function of images, whether in training."""
    rng = np.random.default_rng(0)
    block = ImageBlock(3, statistics=statistics, **options, dtype=dtype)
    images = tf.constant(rng.random((4, 9, 11, channels)), dtype)
    block(images)
    for variable in block.trainable_variables:
        variable.assign(rng.standard_normal(variable.shape))  # gamma below 0 too
    norm = BatchNorm.from_config(block.norm.get_config())
    norm.build((None, None, None, 3))
    norm.set_weights(block.norm.get_weights())

    def layer_by_layer(images, training):
        maps = tf.nn.conv2d(images, block.conv.kernel, block.conv.strides, block.conv.padding.upper())
        x = block.activation(norm(maps, training=training))
        return tf.nn.max_pool2d(x, block.pool_size, block.pool_size, "VALID") if block.pool_size > 1 else x

    return block, norm, images, layer_by_layer


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_agrees_with_the_layers_one_after_the_other(options):
    block, norm, images, layer_by_layer = make_problem(**options)
    for training in (True, False):
        expected = layer_by_layer(images, training)
        assert block.compute_output_shape(images.shape) == tuple(expected.shape)
        assert np.std(expected) > 0.1
        if block.activation is keras.activations.relu:
            assert 0.05 < np.mean(expected == 0) < 0.95
        np.testing.assert_allclose(block(images, training=training), expected, rtol=1e-10, atol=1e-12)
        for average, expected in zip(block.norm.get_weights(), norm.get_weights()):
            np.testing.assert_allclose(average, expected, rtol=1e-10)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_first_and_second_derivatives_agree(options):
    block, norm, images, layer_by_layer = make_problem(**options)
    others = [block.conv.kernel, *norm.trainable_variables]

    def derivatives(network, variables):
        with tf.GradientTape() as outer:
            outer.watch(images)
            with tf.GradientTape() as inner:
                loss = tf.reduce_sum(network(images, True) ** 2 * tf.range(3, dtype=images.dtype))
            first = inner.gradient(loss, variables)
            length = tf.add_n([tf.reduce_sum(gradient**2) for gradient in first])
        return first + outer.gradient(length, [*variables, images])

    found = derivatives(lambda x, training: block(x, training=training), block.trainable_variables)
    for value, expected in zip(found, derivatives(layer_by_layer, others), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())


def test_float32_is_as_exact_as_the_layers():
    """Sparse ink, whose variance is small, in float32 against float64."""
    block, _, _, layer_by_layer = make_problem(dtype="float32", pool_size=2)
    images = (np.random.default_rng(1).random((16, 28, 28, 1)) < 0.02).astype(np.float32)
    exact, *_, exact_layers = make_problem(pool_size=2)
    expected = exact_layers(tf.constant(images, tf.float64), True)
    np.testing.assert_allclose(exact(images.astype(np.float64), training=True), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(block(images, training=True), expected, rtol=1e-5, atol=1e-5)


def test_half_precision_counts_more_places_than_it_can_hold():
    block = ImageBlock(2, statistics="batch", dtype="mixed_float16")
    images = np.random.default_rng(0).random((100, 28, 28, 1), dtype=np.float32)
    assert 100 * 28 * 28 > np.finfo(np.float16).max
    outputs = block(images)
    assert outputs.dtype == tf.float16
    exact = ImageBlock(2, statistics="batch")
    exact.build(images.shape)
    exact.set_weights(block.get_weights())
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), exact(images), atol=5e-3)


def test_a_variance_beyond_float16_is_kept_and_normalized_by():
    images = 1000 * np.random.default_rng(0).standard_normal((8, 6, 6, 1)).astype("float32")
    block = ImageBlock(2, dtype="mixed_float16", momentum=0.0)
    outputs = block(images, training=True)
    assert np.isfinite(np.array(outputs)).all() and (block.norm.moving_variance.numpy() > 65504).all()
    np.testing.assert_allclose(np.array(block(images), "float32"), np.array(outputs, "float32"), rtol=0.02, atol=0.02)


def test_config_round_trip():
    block = ImageBlock(
        2,
        5,
        2,
        "valid",
        "he_normal",
        2,
        "batch",
        momentum=0.7,
        epsilon=0.1,
        center=False,
        scale=False,
        activation="softplus",
        name="first",
    )
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(block))
    assert again.get_config() == block.get_config()
    again.build((None, 28, 28, 1))
    assert [tuple(variable.shape) for variable in again.weights] == [(5, 5, 1, 2)]


def test_presets_of_networks_without_the_block_still_load():
    """Presets written before hold the layers themselves, and answer as the block with their weights does."""
    old = zoo.from_preset("prototypical_network_conv4_glyphs_30way_1shot").backbone
    if any(isinstance(layer, ImageBlock) for layer in old.layers):
        pytest.skip("the preset was trained anew, with the block")
    new = zoo.backbones.conv4()
    new.set_weights(old.get_weights())
    images = np.random.default_rng(0).random((5, 28, 28, 1), dtype=np.float32)
    np.testing.assert_allclose(new(images), old(images), rtol=1e-4, atol=1e-5)


def test_a_pool_of_no_size_is_refused():
    with pytest.raises(ValueError, match="`pool_size` must be an int of at least 1. Received: pool_size=0"):
        ImageBlock(4, pool_size=0)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
