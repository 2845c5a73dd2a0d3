"""The same images give the same episodes and batches, wherever they lie."""

import gc
import io
import os
import platform
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from zoo.datasets import image_store
from zoo.datasets.image_sources import EncodedSource
from zoo.datasets.sampler import ImageClasses


@pytest.fixture(scope="module", params=[1, 3], ids=["grey", "colour"])
def images(request):
    return np.random.default_rng(0).integers(0, 256, (40, 12, 12, request.param), dtype=np.uint8)


def classes_of(images):
    return ImageClasses.from_labels(images, np.repeat(np.arange(8), 5), list("abcdefgh"))


def png(image):
    stream = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(stream, "PNG")
    return stream.getvalue()


def stored(images, encoding=None):
    store = image_store.ImageStore(images.shape[1:], encoding)
    for image in images:
        store.add(png(image) if encoding else image)
    return store.source()


def encoded(images):
    return stored(images, "png")


@pytest.fixture(params=["encoded", "on disk", "encoded on disk"])
def make_source(request, monkeypatch, tmp_path):
    """A function from images to a source of them."""
    if "disk" in request.param:
        monkeypatch.setenv("METAZOA_CACHE", str(tmp_path / "new"))
        monkeypatch.setattr(image_store, "IN_MEMORY", 700)
    return lambda images: stored(images, "png" if "encoded" in request.param else None)


def arrays(dataset, count=3):
    return [value.numpy() for batch in dataset.take(count) for value in tf.nest.flatten(batch)]


VARIANTS = {
    "rotated": lambda classes: classes.with_rotations(),
    "distorted": lambda classes: classes.with_distortions(),
    "augmented": lambda classes: classes.with_augmentation({"crop_padding": 2, "flip": True, "color_jitter": 0.3}),
}


def assert_same_episodes(first, second, way):
    options = dict(way=way, shot=2, query=2, num_tasks=3, seed=9, start=5)
    for value, want in zip(*(arrays(part.episodes(**options), 2) for part in (first, second))):
        np.testing.assert_array_equal(value, want)


@pytest.mark.parametrize("way", [4, (2, 4)], ids=["fixed", "padded"])
def test_episodes_are_bit_equal(images, way, make_source):
    assert_same_episodes(classes_of(make_source(images)), classes_of(images), way)


@pytest.mark.parametrize("variant", VARIANTS)
def test_episodes_are_bit_equal_however_they_are_shown(images, variant):
    assert_same_episodes(*(VARIANTS[variant](classes_of(source)) for source in (encoded(images), images)), way=4)


def test_batches_are_bit_equal(images, make_source):
    in_memory, of_files = (VARIANTS["augmented"](classes_of(source)) for source in (images, make_source(images)))
    for value, want in zip(*(arrays(part.labelled_batches(7, seed=3)) for part in (of_files, in_memory))):
        np.testing.assert_array_equal(value, want)


def test_images_can_be_looked_at(images, make_source):
    source = make_source(images)
    assert len(source) == 40 and source.shape == images.shape
    np.testing.assert_array_equal(source[7], images[7])
    np.testing.assert_array_equal(classes_of(source).image(1, 2), images[7] / np.float32(255))


def test_drawing_uses_all_cores(images):
    options = [classes_of(source).episodes(2, 1, 1).options() for source in (images, encoded(images))]
    assert [part.threading.private_threadpool_size for part in options] == [1, encoded(images).num_threads]


def test_a_file_of_another_size_ends_in_an_error(images):
    source = EncodedSource([png(image[:11]) for image in images], images.shape[1:], "png")
    with pytest.raises(tf.errors.InvalidArgumentError, match="11"):
        arrays(classes_of(source).episodes(2, 1, 1))
    with pytest.raises(ValueError, match="`encoding` must be one of .* Received: encoding='tiff'"):
        EncodedSource([], (2, 2, 1), "tiff")


def test_few_images_stay_an_array_and_the_files_of_many_go_with_them(images, monkeypatch, tmp_path):
    monkeypatch.setenv("METAZOA_CACHE", str(tmp_path))
    assert isinstance(stored(images), np.ndarray)
    np.testing.assert_array_equal(stored(images), images)
    monkeypatch.setattr(image_store, "IN_MEMORY", 700)
    (tmp_path / f"images-{platform.node()}-{2**22 + 1}-killed").mkdir()  # above the highest number of a process
    episodes = classes_of(stored(images)).episodes(2, 1, 1)
    (folder,) = tmp_path.iterdir()
    assert f"-{os.getpid()}-" in folder.name and len(arrays(episodes)) == 12  # as long as they may be drawn
    del episodes
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_named(images, monkeypatch, tmp_path):
    monkeypatch.setenv("METAZOA_CACHE", str(tmp_path))
    monkeypatch.setattr(image_store, "IN_MEMORY", 700)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(image_store.os, "mkdir", full)
    monkeypatch.setattr(image_store.tempfile, "mkdtemp", lambda **options: str(tmp_path))
    with pytest.raises(
        OSError, match="must have room for images, or METAZOA_CACHE name.* No space left on device at image 0"
    ):
        stored(images)


def test_what_is_made_in_parallel_keeps_its_order():
    assert list(image_store.in_parallel(lambda number: 2 * number, range(1000))) == list(range(0, 2000, 2))


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
