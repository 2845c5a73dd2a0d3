"""SimpleShot by hand, and against NumPy."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors
from tests.metric_based.vectors import identity_backbone, vectors


def reference(x, transform, mean, way, scale):
    """-scale times the squared distances of section 3, in float64."""
    support, queries = (np.float64(x[name][0]) for name in ("support_x", "query_x"))
    labels = x["support_y"].numpy()[0]
    if transform == "cl2n":
        support, queries = support - mean, queries - mean
    if transform != "none":
        support, queries = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (support, queries))
    centroids = np.stack([support[labels == n].mean(axis=0) for n in range(way)])
    return -scale * ((queries[:, None] - centroids) ** 2).sum(axis=-1)


@pytest.mark.parametrize("transform", ["none", "l2n", "cl2n"])
def test_answers_against_numpy(transform):
    x = vectors([0, 1, 2, 1, 0, 2])
    mean = np.array([0.5, -1.0, 2.0], np.float32)
    model = zoo.SimpleShot(identity_backbone(), transform=transform, scale=3.0)
    model.base_mean.assign(mean)
    np.testing.assert_allclose(model(x)[0], reference(x, transform, mean, 3, 3.0), rtol=1e-5)


def test_centring_changes_who_is_nearest():
    """The directions from a mean between the classes, by hand."""
    x = {
        "support_x": tf.constant([[[9.0, 0.0], [10.0, 1.0]]]),
        "support_y": tf.constant([[0, 1]], tf.int64),
        "query_x": tf.constant([[[9.5, 0.1]]]),
    }
    model = zoo.SimpleShot(identity_backbone(2), transform="cl2n", scale=1.0)
    np.testing.assert_allclose(model(x).numpy().argmax(), 0)
    model.base_mean.assign([9.6, 0.0])
    # (-.1, .1) / .1414 = (-.7071, .7071); the classes are (-1, 0), and (.4, 1) / 1.0770 = (.3714, .9285)
    expected = [[[-((1 - 0.7071068) ** 2 + 0.5), -((0.7071068 + 0.3713907) ** 2 + (0.9284767 - 0.7071068) ** 2)]]]
    np.testing.assert_allclose(model(x), expected, rtol=1e-4)


def test_the_mean_is_that_of_the_embeddings_and_stays_with_the_model(tmp_path):
    model = descriptors.build("simple_shot")
    images = np.random.default_rng(0).random((50, *descriptors.IMAGE_SHAPE)).astype(np.float32)
    expected = model.embed(images[None])[0].numpy().mean(axis=0)
    for given in (images, tf.data.Dataset.from_tensor_slices(images).batch(20)):
        model.base_mean.assign(tf.zeros_like(expected))
        model.measure_base_mean(given)
        np.testing.assert_allclose(model.base_mean, expected, rtol=1e-4)
    assert not any(variable is model.base_mean for variable in model.trainable_variables)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.base_mean, model.base_mean)


def test_the_mean_of_many_images_is_measured_in_half_precision_too():
    """A run of `trainers.pretrain --precision=mixed_bfloat16` measures it on thousands, whose sum bfloat16 cannot hold."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = zoo.SimpleShot(identity_backbone(2))
    finally:
        keras.config.set_dtype_policy("float32")
    model.measure_base_mean(np.tile(np.float32([1.0, -0.5]), (2000, 1)))
    np.testing.assert_array_equal(model.base_mean, [1.0, -0.5])


@pytest.mark.parametrize(
    "images, is_dataset",
    [(np.full([2, 4], 200, np.uint8), False), (np.zeros([2, 5]), False), (np.zeros([2, 4], np.int64), True)],
)
def test_a_mean_of_other_images_is_refused(images, is_dataset):
    """Integers up to 255 would be embedded as they are, and the mean be far from every embedding."""
    model = zoo.SimpleShot(zoo.backbones.mlp((4,), hidden_sizes=(3,)))
    with pytest.raises(ValueError, match=r"^`images` must be float \[N, 4\]. Received: dtype=[^\n]*, shape="):
        model.measure_base_mean(tf.data.Dataset.from_tensors(images) if is_dataset else images)


@pytest.mark.parametrize("is_dataset", [False, True])
def test_a_mean_of_levels_as_floats_is_refused(is_dataset):
    model = zoo.SimpleShot(zoo.backbones.pixels((2, 2, 1)))
    images = np.full([3, 2, 2, 1], 200.0, np.float32)
    with pytest.raises(ValueError, match=r"must be floats from 0 to 1, not levels up to 255. Received: 200$"):
        model.measure_base_mean(tf.data.Dataset.from_tensors(images) if is_dataset else images)


def test_an_unknown_transform_is_named():
    with pytest.raises(ValueError, match="`transform` must be one of .* Received: transform='z'"):
        zoo.SimpleShot(identity_backbone(), transform="z")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
