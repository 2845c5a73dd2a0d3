"""Memory of a process that validates often: the images are there once, however often episodes are drawn from them."""

import gc
import resource
import sys

import keras
import numpy as np
import pytest

import zoo
from zoo.datasets import image_store
from zoo.datasets.sampler import ImageClasses

SIDE, MEGABYTES = 64, 48


@pytest.fixture(autouse=True)
def no_search_for_cycles():
    """Python looks for cycles rarely, and by their number, not by the memory that they hold."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def make_classes(stored=False):
    count = MEGABYTES * 2**20 // SIDE**2
    images = np.ones((count, SIDE, SIDE, 1), np.uint8)
    if stored:
        store = image_store.ImageStore(images.shape[1:])
        for image in images:
            store.add(image)
        images = store.source()
    return ImageClasses.from_labels(images, np.arange(count) % 10, [str(label) for label in range(10)])


def resident():
    """MiB of this process now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def make_model():
    inputs = keras.Input((SIDE, SIDE, 1))
    model = zoo.PrototypicalNetwork(keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs)))
    model.compile()
    return model


@pytest.mark.parametrize("way", [2, (2, 3)], ids=["fixed", "padded"])
def test_validations_leave_no_copy_of_the_images(way):
    classes, model = make_classes(), make_model()
    sizes = []
    for _ in range(12):
        model.evaluate(classes.episodes(way, 1, 1), steps=1, verbose=0)
        sizes.append(resident())
    assert sizes[-1] - sizes[1] < MEGABYTES, sizes


def test_fresh_data_sets_leave_with_their_images():
    model, sizes = make_model(), []
    for _ in range(12):
        model.evaluate(make_classes().episodes(2, 1, 1), steps=1, verbose=0)
        sizes.append(resident())
    assert sizes[-1] - max(sizes[:3]) < 2 * MEGABYTES, sizes


@pytest.mark.slow
@pytest.mark.parametrize("source", ["array", "disk"])
def test_memory_is_flat_over_200_validations(source, monkeypatch, tmp_path):
    """A validation that left a quarter of its images behind, as they once did, would add 2 GiB."""
    gc.enable()
    if source == "disk":
        monkeypatch.setenv("METAZOA_CACHE", str(tmp_path))
        monkeypatch.setattr(image_store, "IN_MEMORY", 2**20)
    classes, sizes = make_classes(stored=True), []
    for _ in range(200):
        next(iter(classes.episodes(2, 1, 1)))  # as each validation begins; Keras' part is measured above
        sizes.append(resident())
    assert sizes[-1] - max(sizes[:21]) < MEGABYTES / 2, sizes


def test_images_on_disk_are_not_resident_once_drawn(monkeypatch, tmp_path):
    """48 MiB of images, each drawn about four times, with 1 MiB in memory. So 200,000 of 84x84 in colour (4 GiB on disk) take the
    256 MiB at most that wait to be written, 256 MiB of batches drawn ahead, and 8 bytes for the row of each in its class."""
    monkeypatch.setenv("METAZOA_CACHE", str(tmp_path))
    monkeypatch.setattr(image_store, "IN_MEMORY", 2**20)
    batches = iter(make_classes(stored=True).labelled_batches(512))
    sizes = []
    for _ in range(100):
        next(batches)
        sizes.append(resident())
    assert sizes[-1] - max(sizes[:3]) < MEGABYTES / 2, sizes


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
