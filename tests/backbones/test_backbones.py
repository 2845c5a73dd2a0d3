import sys

import keras
import numpy as np
import pytest

import zoo
from zoo import backbones


@pytest.mark.parametrize(
    "name, options, embedding_size, num_parameters",
    [
        # 3x3 kernels without bias, gamma and beta: 9 * 64 + 3 * 9 * 64 * 64 + 4 * 2 * 64
        ("conv4", {}, 64, 111680),
        ("conv4", {"input_shape": (84, 84, 3)}, 1600, 112832),
        ("strided_conv4", {}, 64, 111424),
        # 3x3 kernels without bias or BatchNorm: 9 * 64 + 4 * 9 * 64 * 64; for miniImageNet 3 * 3 places of 32
        ("conv5", {}, 64, 148032),
        ("conv5", {"input_shape": (84, 84, 3), "filters": 32}, 288, 27 * 32 + 4 * 9 * 32 * 32),
        ("mlp", {}, 40, 40 + 40 + 1600 + 40),
        # 14 * 14 means of pixels, 2 * 2 places of 32; kernels, gamma and beta
        ("pixels_and_conv4", {}, 196 + 128, 9 * 32 + 3 * 9 * 32 * 32 + 4 * 2 * 32),
        # the paper's network without convolutions, biases left out in front of BatchNorm
        (
            "mlp",
            {"input_shape": (28, 28, 1), "hidden_sizes": (256, 128, 64, 64), "batch_norm": True},
            64,
            784 * 256 + 256 * 128 + 128 * 64 + 64 * 64 + 2 * (256 + 128 + 64 + 64),
        ),
    ],
)
def test_sizes_of_the_papers(name, options, embedding_size, num_parameters):
    backbone = backbones.build(name, **options)
    assert backbone.output_shape == (None, embedding_size)
    assert sum(np.prod(variable.shape) for variable in backbone.trainable_variables) == num_parameters


def test_strided_conv4_halves_to_two_by_two():
    backbone = backbones.build("strided_conv4")
    assert backbone.get_layer("relu_4").output.shape == (None, 2, 2, 64)


def test_conv5_has_pools_that_round_up_and_the_papers_start():
    backbone = backbones.build("conv5")
    sizes = [backbone.get_layer(f"pool_{block}").output.shape[1] for block in range(1, 6)]
    assert sizes == [14, 7, 4, 2, 1]
    kernels = [variable.numpy() for variable in backbone.weights]
    assert all(np.abs(kernel).max() <= 0.1 and abs(kernel.std() - 0.1 / 3**0.5) < 0.01 for kernel in kernels)
    assert np.abs(kernels[1] - kernels[2]).max() > 0.1  # each has a draw of its own
    lecun = backbones.build("conv5", kernel_initializer="lecun_normal").get_layer("conv_2").kernel.numpy()
    np.testing.assert_allclose(lecun.std(), (9 * 64) ** -0.5, rtol=0.05)


def test_pixels_stand_beside_the_conv4_as_they_are():
    images = np.random.default_rng(0).random((3, 28, 28, 1), dtype=np.float32)
    embeddings = backbones.build("pixels_and_conv4", filters=2)(images).numpy()
    halves = images.reshape(3, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(3, -1)
    np.testing.assert_allclose(embeddings[:, :196], halves, rtol=1e-6)
    assert np.all(embeddings[:, 196:] >= 0) and np.any(embeddings[:, 196:] > 0)


def test_koch_has_the_papers_layers_and_parameters():
    """38,951,745 with the 4,096 weights and the bias on top of the twins."""
    backbone = backbones.build("koch")
    shapes = [backbone.get_layer(name).output.shape[1:] for name in ("relu_1", "relu_2", "relu_3", "relu_4", "flatten")]
    assert shapes == [(48, 48, 64), (21, 21, 128), (9, 9, 128), (6, 6, 256), (9216,)]
    assert backbone.output_shape == (None, 4096)
    model = zoo.SiameseNetwork(backbone)
    assert model.count_params() == 38951745
    starts = {
        layer.name: (layer.kernel.numpy().std(), layer.bias.numpy().mean(), layer.bias.numpy().std())
        for layer in backbone.layers
        if hasattr(layer, "kernel")
    }
    assert len(starts) == 5
    for name, start in starts.items():  # many ports start the dense layer from N(0, 0.01) as well
        np.testing.assert_allclose(start, (0.2 if name == "dense" else 0.01, 0.5, 0.01), rtol=0.25, err_msg=name)


def test_koch_pools_what_relu_leaves():
    """The ReLU stands behind the pool here, in front of it in the paper."""
    backbone = backbones.build("koch", input_shape=(65, 65, 1), embedding_size=5, kernel_initializer="he_normal")
    x = images = np.random.default_rng(0).random((2, 65, 65, 1), dtype=np.float32)
    for block in (1, 2, 3, 4):
        conv = backbone.get_layer(f"conv_{block}")
        conv.bias.assign(conv.bias - 0.5)  # so that half of the outputs are negative
        x = keras.ops.relu(conv(x))
        x = keras.ops.max_pool(x, 2, 2) if block < 4 else x
    dense = backbone.get_layer("dense")
    expected = keras.ops.sigmoid(keras.ops.reshape(x, (2, -1)) @ dense.kernel + dense.bias)
    np.testing.assert_allclose(backbone(images), expected, rtol=1e-5)
    assert 0.2 < np.mean(x == 0) < 0.8


def test_koch_computes_its_convolutions_in_bfloat16_where_asked_to():
    small = {"input_shape": (65, 65, 1), "embedding_size": 5, "kernel_initializer": "he_normal"}
    exact, short = (backbones.build("koch", **small, conv_dtype=dtype) for dtype in (None, "mixed_bfloat16"))
    short.set_weights(exact.get_weights())
    images = np.random.default_rng(0).random((2, 65, 65, 1), dtype=np.float32)
    assert {weight.dtype for weight in short.weights} == {"float32"}
    assert short(images).dtype == "float32"
    difference = np.abs(short(images) - exact(images)).max()
    assert 0 < difference < 0.02, difference


@pytest.mark.parametrize(
    "name, options",
    [
        ("conv4", {"center": False}),
        ("strided_conv4", {"center": False, "scale": True}),
        ("mlp", {"batch_norm": True, "statistics": "running", "center": False, "scale": False}),
        ("pixels_and_conv4", {}),
        ("relation_encoder", {}),
    ],
)
def test_every_builder_takes_the_options_of_batch_norm(name, options):
    """PyTorch's epsilon, and momentum 0.1 in its words, reach every BatchNorm; so does whether beta and gamma exist."""
    backbone = backbones.build(name, input_shape=(16, 16, 1), momentum=0.8, epsilon=1e-5, **options)
    norms = [layer.get_config() for layer in backbone._flatten_layers() if isinstance(layer, zoo.BatchNorm)]
    expected = {"momentum": 0.8, "epsilon": 1e-5, **options}
    expected.pop("batch_norm", None)
    assert norms and all({key: norm[key] for key in expected} == expected for norm in norms)


def test_bad_names_and_sizes_are_named():
    with pytest.raises(ValueError, match="Unknown backbone: expected one of .* Received: 'conv9'"):
        backbones.build("conv9")
    with pytest.raises(
        ValueError, match=r"Options of the backbone 'conv4' must be among .*'filters'.*: \['weights'\]$"
    ):
        backbones.build("conv4", weights="imagenet")  # of another backbone, which a flag has replaced
    with pytest.raises(ValueError, match=r"Options of the backbone 'keras_application' must .* Received: no name$"):
        backbones.build("keras_application")
    with pytest.raises(ValueError, match="at least 16 x 16. Received: input_shape="):
        backbones.build("conv4", input_shape=(12, 12, 1))
    with pytest.raises(ValueError, match="at least 65 x 65. Received: input_shape="):
        backbones.build("koch", input_shape=(64, 80, 1))


def test_relation_encoder_keeps_five_by_five_maps():
    """28-26-13-11-5: two convolutions without padding, each before a pool, then two with padding and no pool."""
    backbone = backbones.build("relation_encoder")
    first = backbone.get_layer("block_1")
    assert first.conv.compute_output_shape((None, 28, 28, 1)) == (None, 26, 26, 64)
    assert [layer.output.shape[1] for layer in (first, *map(backbone.get_layer, ("conv_2", "pool_2")))] == [13, 11, 5]
    assert backbone.output_shape == (None, 5, 5, 64)
    assert backbones.build("relation_encoder", input_shape=(84, 84, 3)).output_shape == (None, 19, 19, 64)
    assert sum(np.prod(variable.shape) for variable in backbone.trainable_variables) == 9 * 64 + 3 * 36864 + 4 * 128


def test_flattened_maps_of_the_relation_encoder_are_the_maxima_of_its_maps():
    options = dict(input_shape=(28, 28, 1), filters=3)
    maps, flat = (backbones.build("relation_encoder", **options, **extra) for extra in ({}, {"flatten_pool": 2}))
    flat.set_weights(maps.get_weights())
    images = np.random.default_rng(0).random((2, 28, 28, 1)).astype(np.float32)
    pooled = maps(images).numpy()[:, :4, :4].reshape(2, 2, 2, 2, 2, 3).max(axis=(2, 4))
    np.testing.assert_allclose(flat(images), pooled.reshape(2, 12), rtol=1e-6)
    with pytest.raises(ValueError, match="`flatten_pool` must be at most 5, the map. Received: 6"):
        backbones.build("relation_encoder", **options, flatten_pool=6)


def test_relation_encoder_takes_statistics_and_names_images_that_are_too_small():
    for statistics in ("batch", "running"):
        backbone = backbones.build("relation_encoder", input_shape=(10, 10, 1), filters=2, statistics=statistics)
        assert backbone.output_shape == (None, 1, 1, 2)
        norms = [layer for layer in backbone._flatten_layers() if isinstance(layer, zoo.BatchNorm)]
        assert [norm.statistics for norm in norms] == 4 * [statistics]
    with pytest.raises(ValueError, match="at least 10 x 10 for a map. Received: input_shape="):
        backbones.build("relation_encoder", input_shape=(9, 28, 1))


@pytest.mark.parametrize("value", [28, (28, 28), (None, None, 1), ("28", 28, 1), (28, 28, 0)])
@pytest.mark.parametrize(
    "name", ["conv4", "strided_conv4", "conv5", "koch", "relation_encoder", "pixels_and_conv4", "resnet12"]
)
def test_shapes_of_images_are_checked(name, value):
    message = r"^`input_shape` must be \(height, width, channels\), ints of at least 1. Received: input_shape=[^\n]*$"
    with pytest.raises(ValueError, match=message):
        backbones.build(name, input_shape=value)


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("conv4", {"filters": "64"}, "`filters` must be an int of at least 1. Received: filters='64'"),
        ("resnet12", {"filters": 64}, "`filters` must be a tuple of ints of at least 1. Received: filters=64"),
        ("mlp", {"hidden_sizes": 5}, "`hidden_sizes` must be a tuple of ints of at least 1. Received: hidden_sizes=5"),
        ("mlp", {"batch_norm": "no"}, "`batch_norm` must be True or False. Received: batch_norm='no'"),
        ("pixels", {"input_shape": 4}, "`input_shape` must be a tuple of ints of at least 1. Received: input_shape=4"),
    ],
)
def test_options_of_a_wrong_kind_are_named(name, options, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        backbones.build(name, **options)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
