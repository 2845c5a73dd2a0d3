"""Which backbones Meta Networks run, and that they run them as they are."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.core.image_block import ImageBlock
from zoo.model_based.row_weights import row_gradients, run_chain

SHAPE = (6, 6, 2)
layers = keras.layers


def conv(**options):
    return layers.Conv2D(**{"filters": 2, "kernel_size": 3, "padding": "same", "use_bias": False, **options})


def chain(*parts):
    inputs = h = keras.Input(SHAPE)
    for part in (*parts, layers.Flatten()):
        h = part(h)
    return keras.Model(inputs, h)


def skipping():
    inputs = keras.Input(SHAPE)
    h = layers.ReLU()(conv()(inputs))
    return keras.Model(inputs, layers.Flatten()(layers.Add(name="wrong")([h, inputs])))


def operating():
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, layers.Flatten()(2 * layers.ReLU()(conv()(inputs))))


def sharing():
    inputs = keras.Input(SHAPE)
    shared, relu = conv(name="wrong"), layers.ReLU()
    return keras.Model(inputs, layers.Flatten()(relu(shared(relu(shared(inputs))))))


@pytest.mark.parametrize(
    "build",
    [
        lambda: chain(conv(name="wrong"), layers.ReLU(max_value=0.5)),
        lambda: chain(conv(name="wrong"), layers.ReLU(negative_slope=0.1)),
        lambda: chain(conv(name="wrong"), layers.ReLU(threshold=0.5)),
        lambda: chain(conv(name="wrong"), layers.LeakyReLU()),
        lambda: chain(conv(name="wrong"), layers.Activation("tanh")),
        lambda: chain(conv(name="wrong", data_format="channels_first"), layers.ReLU()),
        lambda: chain(conv(name="wrong", activation="relu"), layers.ReLU()),
        lambda: chain(conv(name="wrong", strides=2), layers.ReLU()),
        lambda: chain(conv(), layers.ReLU(), layers.Dropout(0.5, name="wrong")),
        lambda: chain(conv(), layers.ReLU(), layers.GaussianNoise(0.5, name="wrong")),
        lambda: chain(conv(), layers.ReLU(), layers.BatchNormalization(name="wrong")),
        lambda: chain(conv(), layers.ReLU(), layers.BatchNormalization(center=False, scale=False, name="wrong")),
        lambda: chain(conv(), layers.ReLU(), zoo.BatchNorm("batch", center=False, scale=False, name="wrong")),
        lambda: chain(conv(), layers.ReLU(), layers.LayerNormalization(name="wrong")),
        lambda: chain(conv(), layers.ReLU(), keras.Sequential([keras.Input(SHAPE), conv()], name="wrong")),
        lambda: keras.Sequential([keras.Input(SHAPE), ImageBlock(2, name="wrong"), layers.Flatten()]),
        skipping,
        sharing,
    ],
)
def test_what_the_chain_would_drop_is_refused(build):
    with pytest.raises(ValueError, match="`backbone` must be a chain of Conv2D .* Received: layer wrong"):
        zoo.MetaNetwork(build(), way=3)


def test_an_operation_between_the_layers_is_refused():
    with pytest.raises(ValueError, match="`backbone` must be a chain of Conv2D .* Received: layer multiply"):
        zoo.MetaNetwork(operating(), way=3)


def test_maps_in_place_of_vectors_are_refused():
    inputs = keras.Input(SHAPE)
    with pytest.raises(ValueError, match=r"must give embeddings \[B, D\], .* Received: output shape \(None, 6, 6, 2\)"):
        zoo.MetaNetwork(keras.Model(inputs, layers.ReLU()(conv()(inputs))), way=3)


@pytest.mark.parametrize(
    "build",
    [
        lambda: zoo.backbones.conv5(SHAPE, filters=2),
        lambda: chain(layers.ReLU(), conv(), layers.ReLU(), layers.ReLU(max_value=0.2), conv(), layers.ReLU()),
        lambda: chain(layers.Rescaling(2.0), conv(kernel_size=(3, 2)), layers.ReLU(), layers.AveragePooling2D(2)),
        lambda: keras.Sequential([keras.Input(SHAPE), conv(), layers.ReLU(), layers.GlobalMaxPooling2D()]),
        lambda: chain(keras.Sequential([keras.Input(SHAPE), layers.ReLU(max_value=0.2)]), conv(), layers.ReLU()),
    ],
)
def test_a_chain_is_run_as_the_backbone_runs(build):
    """With every convolution and its ReLU done here; the other layers, and ReLUs elsewhere, are the backbone's."""
    backbone = build()
    images = tf.constant(np.random.default_rng(0).standard_normal((3, *SHAPE)), tf.float32)
    answers = run_chain(backbone, images, lambda index, kernel, h: tf.nn.relu(tf.nn.conv2d(h, kernel, 1, "SAME")))
    np.testing.assert_allclose(answers, backbone(images), rtol=1e-5, atol=1e-6)
    model = zoo.MetaNetwork(backbone, way=2)
    state = model.adapt(images[None], tf.constant([[0, 1, 1]], tf.int64))
    again = zoo.MetaNetwork.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.adapt(images[None], tf.constant([[0, 1, 1]], tf.int64))["keys"], state["keys"])


@pytest.mark.parametrize("policy, tolerance", [("mixed_float16", 0.01), ("mixed_bfloat16", 0.08)])
@pytest.mark.parametrize("size", [1e-7, 1.0, 30.0])
def test_gradients_of_rows_pass_half_precision_as_float32(policy, tolerance, size):
    """Of losses whose slopes are below the 6e-8 that float16 has, and of such as grow beyond its 65,504 when scaled too far."""
    rng = np.random.default_rng(0)
    images = tf.constant(rng.random((4, *SHAPE)), tf.float32)
    kernel, hidden, head = (rng.standard_normal(shape) * 0.3 for shape in ((3, 3, 2, 2), (72, 5), (5, 3)))

    def rows(policy):
        backbone = chain(conv(dtype=policy), layers.ReLU(dtype=policy))
        backbone.set_weights([kernel])
        dense = [layers.Dense(values.shape[1], use_bias=False) for values in (hidden, head)]
        for layer, values in zip(dense, (hidden, head)):
            layer.build((None, len(values)))
            layer.set_weights([values])
        return row_gradients(backbone, *dense, images, lambda key, logits: size * tf.reduce_sum(logits))

    for received, expected in zip(rows(policy), rows("float32")):
        assert received.dtype == tf.float32
        assert np.linalg.norm(received - expected) < tolerance * np.linalg.norm(expected)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
