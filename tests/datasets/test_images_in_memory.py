"""Memory of a process that validates often: the images are there once, however often episodes are drawn from them."""

import gc
import resource
import sys

import keras
import numpy as np
import pytest

import zoo
from zoo.datasets.sampler import ImageClasses

SIDE, MEGABYTES = 64, 48


@pytest.fixture(autouse=True)
def no_search_for_cycles():
    """Python looks for cycles rarely, and by their number, not by the memory that they hold."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def make_classes():
    count = MEGABYTES * 2**20 // SIDE**2
    images = np.ones((count, SIDE, SIDE, 1), np.uint8)
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
    assert sizes[-1] - sizes[2] < 2 * MEGABYTES, sizes


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
