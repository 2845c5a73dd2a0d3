import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors
from tests.finite_differences import check_gradients

SMALL = {"input_shape": (16, 16, 1), "filters": (2, 3, 4, 4)}


def test_shapes_and_parameters_of_the_paper():
    """84-42-21-10-5. A block: 3x3 kernels to, from and from c channels, a 1x1 kernel, and gamma and beta of four norms."""
    backbone = zoo.backbones.build("resnet12", drop_block=5)
    assert [backbone.get_layer(f"block_{block}_pool").output.shape[1:] for block in (1, 2, 3, 4)] == [
        (42, 42, 64),
        (21, 21, 160),
        (10, 10, 320),
        (5, 5, 640),
    ]
    assert backbone.output_shape == (None, 640)
    drops = [layer.name for layer in backbone.layers if type(layer).__name__ == "DropBlock"]
    assert drops == ["block_3_drop", "block_4_drop"]
    channels = (3, 64, 160, 320, 640)
    expected = sum(9 * a * b + 18 * b * b + a * b + 8 * b for a, b in zip(channels, channels[1:]))
    assert sum(np.prod(variable.shape) for variable in backbone.trainable_variables) == expected == 12424320
    assert zoo.backbones.resnet12(pooling="flatten", filters=(1, 1, 1, 2)).output_shape == (None, 50)


def test_a_block_against_its_formula():
    """Leaky ReLU of the sum of three convolutions and a shortcut, then the pool, in float64 NumPy."""
    keras.utils.set_random_seed(0)
    backbone = zoo.backbones.resnet12(**SMALL, statistics="batch", epsilon=1e-5)
    first = keras.Model(backbone.input, backbone.get_layer("block_1_relu_3").output)
    images = np.random.default_rng(0).random((4, 16, 16, 1)).astype(np.float32)

    def conv(x, name):
        kernel = backbone.get_layer(f"block_1_conv_{name}").kernel
        maps = tf.nn.conv2d(x, tf.cast(kernel, tf.float64), 1, "SAME").numpy()
        return (maps - maps.mean(axis=(0, 1, 2))) / np.sqrt(maps.var(axis=(0, 1, 2)) + 1e-5)

    leaky = lambda x: np.where(x > 0, x, 0.1 * x)  # noqa: E731
    x = images.astype(np.float64)
    y = leaky(conv(leaky(conv(leaky(conv(x, 1)), 2)), 3) + conv(x, "shortcut"))
    expected = y.reshape(4, 8, 2, 8, 2, 2).max(axis=(2, 4))
    np.testing.assert_allclose(first(images), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_second_order_gradients_agree_with_finite_differences():
    keras.config.set_dtype_policy("float64")
    try:
        keras.utils.set_random_seed(0)
        backbone = zoo.backbones.resnet12(**SMALL, statistics="batch")
        model = zoo.MAML(backbone, way=3, num_inner_steps=1, inner_learning_rate=0.1)
        x, y = descriptors.episode(num_tasks=1)
        x = {name: tf.cast(value, tf.float64) if "x" in name else value for name, value in x.items()}
        step = tf.function(model.compute_gradients, autograph=False)
        _, _, gradients = step(x, y)
        check_gradients(lambda: step(x, y)[0], model.trainable_variables, gradients, 1e-7, rtol=1e-4, atol=1e-7)
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.slow
def test_it_trains_and_is_saved(tmp_path):
    keras.utils.set_random_seed(0)
    model = zoo.PrototypicalNetwork(zoo.backbones.resnet12(**SMALL, drop_block=2))
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    x, y = descriptors.episode()
    losses = [model.train_on_batch(x, y, return_dict=True)["loss"] for _ in range(20)]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:3]), losses
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(x), model(x))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"input_shape": (15, 16, 1)}, "at least 16 x 16. Received: input_shape="),
        ({"filters": (64, 160)}, "`filters` must be four numbers"),
        ({"pooling": "max"}, r"`pooling` must be one of \('mean', 'flatten'\). Received: pooling='max'"),
        ({"drop_block": 0}, "`block_size` must be an int of at least 1. Received: block_size=0"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        zoo.backbones.resnet12(**{**SMALL, **options})


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
