import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.core.standardize import Standardize


def test_by_hand_in_both_precisions():
    layer = Standardize(mean=(0.5, 0.25), stddev=(0.25, 0.125))
    np.testing.assert_allclose(layer(tf.constant([[1.0, 0.0]])), [[2, -2]])
    exact = Standardize(dtype="float64")(tf.constant([[1.0, 1.0, 1.0]], tf.float64))
    assert exact.dtype == tf.float64
    np.testing.assert_allclose(exact, [[0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225]], rtol=1e-14)


def test_a_saved_network_keeps_its_numbers(tmp_path):
    backbone = zoo.backbones.conv4((16, 16, 2), filters=2, standardize={"mean": [0.1, 0.2], "stddev": [0.3, 0.4]})
    backbone.save(tmp_path / "backbone.keras")
    layer = keras.models.load_model(tmp_path / "backbone.keras").get_layer("standardize")
    assert (layer.mean, layer.stddev, layer.weights) == ([0.1, 0.2], [0.3, 0.4], [])


@pytest.mark.parametrize("name", ["conv4", "strided_conv4", "conv5", "relation_encoder", "pixels_and_conv4", "koch"])
def test_backbones_standardize_colours_and_leave_one_channel_as_it_is(name):
    """Colours that are standardized outside give the same in a network that does nothing itself."""
    size = 66 if name == "koch" else 16
    build = lambda channels, **options: zoo.backbones.build(name, input_shape=(size, size, channels), **options)  # noqa: E731
    assert "Standardize" not in {type(layer).__name__ for layer in build(1)._flatten_layers()}
    if name == "koch":
        return
    colour, plain = build(3), build(3, standardize=False)
    plain.set_weights(colour.get_weights())
    images = np.random.default_rng(0).random((2, size, size, 3), np.float32)
    outside = (images - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    first = 8 * 8 * 3 if name == "pixels_and_conv4" else 0  # its pixels stay from 0 to 1
    found, expected = colour(images).numpy(), plain(outside.astype(np.float32)).numpy()
    assert np.std(expected) > 0
    np.testing.assert_allclose(found[..., first:], expected[..., first:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "channels, standardize, message",
    [
        (1, True, "True for three channels.* Received: standardize=True for 1 channels"),
        (3, "imagenet", "`standardize` must be None.* Received: standardize='imagenet'"),
        (3, {"mean": [0, 0, 0]}, "`standardize` must be None"),
        (3, {"mean": [0, 0, 0], "stddev": [1, 1, 0]}, "`stddev` must be a number above 0. Received: stddev=0"),
        (3, {"mean": [0, 0], "stddev": [1, 1]}, "of each channel. Received: 2 of them, input shape"),
        (3, {"mean": [0, 0], "stddev": [1, 1, 1]}, "must be of one length"),
    ],
)
def test_bad_values_are_named(channels, standardize, message):
    with pytest.raises(ValueError, match=message):
        zoo.backbones.conv4((16, 16, channels), filters=2, standardize=standardize)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
