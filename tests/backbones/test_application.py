"""Networks of keras.applications as backbones."""

import inspect
import json
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from export import saved_model
from tests import descriptors
from zoo.backbones.application import application_names, keras_application, preprocessing_of
from zoo.core.application_pixels import ApplicationPixels
from zoo.presets.writer import save_preset_config, save_preset_weights

SHAPE = (24, 24, 3)
SMALL = {"options": {"alpha": 0.35}}


@pytest.fixture(scope="module")
def backbone():
    """A frozen MobileNetV2 of 32 pixels for images of 24, whose averages are those of noise: with fresh ones a random network
    hardly lets a difference between images through."""
    keras.utils.set_random_seed(0)
    backbone = keras_application("MobileNetV2", SHAPE, trainable=True, **SMALL)
    for layer in backbone._flatten_layers():
        if hasattr(layer, "momentum"):
            layer.momentum = 0.0
    backbone(np.random.default_rng(0).random((64, *SHAPE), np.float32), training=True)
    backbone.trainable = False
    return backbone


def modules_with(name):
    modules = [value for value in vars(keras.applications).values() if inspect.ismodule(value)]
    return [module for module in modules if hasattr(module, name) and hasattr(module, "preprocess_input")]


@pytest.mark.parametrize("name", application_names())
def test_every_network_gets_the_pixels_that_its_preprocessing_gives(name):
    levels = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3)).astype(np.float32)
    module = keras.applications.mobilenet_v3 if name.startswith("MobileNetV3") else modules_with(name)[0]
    expected = module.preprocess_input(levels.copy())
    found = ApplicationPixels(preprocessing_of(name))(tf.constant(levels / 255))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_there_are_networks_to_sweep():
    assert {"MobileNetV2", "ResNet50", "ResNet50V2", "EfficientNetV2B0", "ConvNeXtTiny"} <= set(application_names())
    assert len(application_names()) >= 30


def test_the_answer_is_that_of_the_network_on_resized_levels(backbone):
    original = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg", alpha=0.35
    )
    original.set_weights(backbone.layers[-1].get_weights())
    images = np.random.default_rng(0).random((3, *SHAPE), np.float32)
    levels = 255 * tf.image.resize(images, (32, 32)).numpy()
    expected = original(keras.applications.mobilenet_v2.preprocess_input(levels)).numpy()
    assert backbone.input_shape == (None, *SHAPE) and backbone.output_shape == (None, 1280) and expected.std() > 1e-3
    np.testing.assert_allclose(backbone(images), expected, rtol=1e-3, atol=1e-3 * expected.std())
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in backbone._flatten_layers())


def test_a_frozen_network_trains_what_is_not_in_it(backbone, tmp_path):
    """The learned scale of distances alone moves; weights and averages stay, and a preset gives the same answers."""
    before = backbone.get_weights()
    model = zoo.PrototypicalNetwork(backbone, distance_scale="learned")
    model.compile(optimizer=keras.optimizers.Adam(0.5), run_eagerly=True)
    x, y = descriptors.episode(image_shape=SHAPE)
    start = float(model.log_scale)
    model.train_on_batch(x, y)
    assert abs(float(model.log_scale) - start) > 0.1
    for found, expected in zip(backbone.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)
    save_preset_config(model, tmp_path, {})
    save_preset_weights(model, tmp_path)
    again = zoo.from_preset(tmp_path)
    np.testing.assert_array_equal(again(x), model(x))
    assert [weight.name for weight in again.trainable_weights] == ["log_distance_scale"]


def test_nothing_to_train_is_said(backbone):
    model = zoo.PrototypicalNetwork(backbone)
    model.compile(optimizer="adam")
    with pytest.raises(
        ValueError, match="Training needs a weight .* a PrototypicalNetwork whose backbone 'mobilenetv2' has none"
    ):
        model.train_on_batch(*descriptors.episode(image_shape=SHAPE))


@pytest.mark.slow
def test_methods_that_adapt_by_gradients_take_it_frozen_and_whole(backbone):
    x, y = descriptors.episode(num_tasks=1, image_shape=SHAPE)
    frozen = zoo.MAML(backbone, way=3, num_inner_steps=1, inner_learning_rate=0.1)
    assert [variable.path for variable in frozen.fast_variables()] == ["head/kernel", "head/bias"]
    whole = keras_application("MobileNetV2", SHAPE, **SMALL, trainable=True, statistics="batch")
    for model in (frozen, zoo.FOMAML(whole, way=3, num_inner_steps=1, inner_learning_rate=0.01)):
        before = model.get_weights()
        model.compile(optimizer=keras.optimizers.SGD(0.1))
        model.train_on_batch(x, y)
        trained = {id(variable) for variable in model.trainable_variables}
        moved = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights())]
        assert all(id(v) in trained for v, has_moved in zip(model.weights, moved) if has_moved) and any(moved)


@pytest.mark.slow
def test_it_is_exported_and_takes_files(backbone, tmp_path):
    """Bytes are decoded, and resized to the size of the data set and then of the network, in the graph."""
    model = zoo.PrototypicalNetwork(backbone, way=2)
    served = tf.saved_model.load(str(saved_model.export(model, tmp_path))).signatures
    x, _ = descriptors.episode(num_tasks=1, way=2, image_shape=SHAPE)
    levels = {name: np.clip(np.round(170 * x[name].numpy()), 0, 255) for name in ("support_x", "query_x")}
    pixels = {**x, **{name: tf.constant(value / 255, tf.float32) for name, value in levels.items()}}
    expected = tf.nn.softmax(model(pixels)).numpy()
    assert expected.std() > 1e-3
    labels = x["support_y"]
    images = {"support_images": pixels["support_x"], "query_images": pixels["query_x"]}
    found = served["adapt_and_predict"](**images, support_labels=labels)["probabilities"]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)

    def files(rows):
        encoded = [tf.io.encode_png(tf.cast(image, tf.uint8)).numpy() for image in rows[0]]
        return tf.constant([encoded])

    images = {"support_image_bytes": files(levels["support_x"]), "query_image_bytes": files(levels["query_x"])}
    found = served["adapt_and_predict_image_bytes"](**images, support_labels=labels)["probabilities"]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_grey_images_are_three_times_the_same():
    keras.utils.set_random_seed(0)
    colour, grey = (keras_application("MobileNetV2", (32, 32, channels), **SMALL) for channels in (3, 1))
    grey.set_weights(colour.get_weights())
    images = np.random.default_rng(0).random((2, 32, 32, 1), np.float32)
    np.testing.assert_allclose(grey(images), colour(np.repeat(images, 3, axis=-1)), rtol=1e-5)
    assert not any(isinstance(layer, keras.layers.Resizing) for layer in grey.layers)


def test_weights_come_from_a_file(backbone, tmp_path, monkeypatch):
    original = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3), alpha=0.35)
    original.set_weights(backbone.layers[-1].get_weights())
    original.save_weights(tmp_path / "mobilenet.weights.h5")
    monkeypatch.setenv("HOME", str(tmp_path))
    again = zoo.backbones.build(
        "keras_application",
        name="MobileNetV2",
        input_shape=SHAPE,
        weights="~/mobilenet.weights.h5",
        **SMALL,
    )
    for found, expected in zip(again.get_weights(), backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(
        ValueError, match="The weights of MobileNetV2 must fit the network. Received: weights="
    ) as error:
        keras_application("MobileNetV2", SHAPE, weights=str(tmp_path / "mobilenet.weights.h5"), options={"alpha": 0.5})
    assert "\n" not in str(error.value)


def test_a_flag_can_ask_for_random_weights():
    """`--config.model.backbone_options.weights=None` is the word, where the config has a word."""
    assert keras_application("MobileNetV2", (32, 32, 3), weights="None", **SMALL).output_shape == (None, 1280)


def test_imagenet_without_a_network_is_one_line(monkeypatch):
    def fail(*_, **__):
        raise Exception("URL fetch failure on https://example.org: None -- [Errno -2] Name or service not known")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", fail)
    message = "The weights of MobileNetV2 must be downloaded once, .* or come from a file. Received: weights='imagenet' .URL fetch failure"
    with pytest.raises(ValueError, match=message) as error:
        keras_application("MobileNetV2", (96, 96, 3), weights="imagenet", **SMALL)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"name": "ResNet12"}, r"`name` must be one of \[.*'ResNet50'.*\]. Received: name='ResNet12'"),
        (
            {"weights": "none.h5"},
            "`weights` must be None, 'imagenet' or a file that is there. Received: weights='none.h5'",
        ),
        ({"weights": 5}, "`weights` must be None, 'imagenet' or a file that is there. Received: weights=5"),
        ({"pooling": None}, "`pooling` must be one of .* Received: pooling=None"),
        ({"input_shape": (24, 24, 4)}, "`input_shape` must be .height, width, 1 or 3."),
        ({"image_size": 16}, "`image_size` must be at least 32 for MobileNetV2. Received: image_size=16"),
        ({"name": "Xception", "image_size": 64}, "`image_size` must be at least 71 for Xception"),
        ({"trainable": "no"}, "`trainable` must be True or False"),
        (
            {"options": {"depth": 2}},
            r"`options` of MobileNetV2 must be among \['alpha', 'name'\]. Received: \['depth'\]",
        ),
        ({"statistics": "none"}, "`statistics` must be one of"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        keras_application(**{"name": "MobileNetV2", "input_shape": SHAPE, **options})


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["ConvNeXtTiny", "EfficientNetB0", "EfficientNetV2B0", "MobileNetV3Small", "DenseNet121"]
)
def test_families_are_saved_and_answer_again(name, tmp_path):
    model = zoo.PrototypicalNetwork(keras_application(name, (32, 32, 3)))
    save_preset_config(model, tmp_path, {})
    json.loads((tmp_path / "model.json").read_text())
    save_preset_weights(model, tmp_path)
    x, _ = descriptors.episode(num_tasks=1, image_shape=(32, 32, 3))
    np.testing.assert_array_equal(zoo.from_preset(tmp_path)(x), model(x))


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
