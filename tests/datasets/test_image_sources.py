"""The same images give the same episodes and batches, wherever they lie."""

import sys

import numpy as np
import pytest
import tensorflow as tf

from zoo.datasets.image_files import encoded_png
from zoo.datasets.image_sources import EncodedSource
from zoo.datasets.sampler import ImageClasses


@pytest.fixture(scope="module", params=[1, 3], ids=["grey", "colour"])
def images(request):
    return np.random.default_rng(0).integers(0, 256, (40, 12, 12, request.param), dtype=np.uint8)


def classes_of(images):
    return ImageClasses.from_labels(images, np.repeat(np.arange(8), 5), list("abcdefgh"))


def encoded(images):
    return EncodedSource([encoded_png(image) for image in images], images.shape[1:], "png")


def arrays(dataset, count=3):
    return [value.numpy() for batch in dataset.take(count) for value in tf.nest.flatten(batch)]


VARIANTS = {
    "plain": lambda classes: classes,
    "rotated": lambda classes: classes.with_rotations(),
    "distorted": lambda classes: classes.with_distortions(),
    "augmented": lambda classes: classes.with_augmentation({"crop_padding": 2, "flip": True, "color_jitter": 0.3}),
}


@pytest.mark.parametrize("variant, way", [(variant, 4) for variant in VARIANTS] + [("plain", (2, 4))])
def test_episodes_are_bit_equal(images, variant, way):
    in_memory, of_files = (VARIANTS[variant](classes_of(source)) for source in (images, encoded(images)))
    options = dict(way=way, shot=2, query=2, num_tasks=3, seed=9)
    for value, want in zip(*(arrays(part.episodes(start=5, **options)) for part in (of_files, in_memory))):
        np.testing.assert_array_equal(value, want)


@pytest.mark.parametrize("variant", VARIANTS)
def test_batches_are_bit_equal(images, variant):
    in_memory, of_files = (VARIANTS[variant](classes_of(source)) for source in (images, encoded(images)))
    for value, want in zip(*(arrays(part.labelled_batches(7, seed=3)) for part in (of_files, in_memory))):
        np.testing.assert_array_equal(value, want)


def test_images_can_be_looked_at(images):
    source = encoded(images)
    assert len(source) == 40 and source.shape == images.shape
    np.testing.assert_array_equal(source[7], images[7])
    np.testing.assert_array_equal(classes_of(source).image(1, 2), images[7] / np.float32(255))


def test_drawing_uses_all_cores(images):
    options = [classes_of(source).episodes(2, 1, 1).options() for source in (images, encoded(images))]
    assert [part.threading.private_threadpool_size for part in options] == [1, encoded(images).num_threads]


def test_a_file_of_another_size_ends_in_an_error(images):
    source = EncodedSource([encoded_png(image[:11]) for image in images], images.shape[1:], "png")
    with pytest.raises(tf.errors.InvalidArgumentError, match="11"):
        arrays(classes_of(source).episodes(2, 1, 1))
    with pytest.raises(ValueError, match="`encoding` must be one of .* Received: encoding='tiff'"):
        EncodedSource([], (2, 2, 1), "tiff")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
