"""Plain batches of labelled images."""

import re
import sys

import numpy as np
import pytest

from zoo.datasets.sampler import ImageClasses


@pytest.fixture
def classes():
    """4 classes of 5 images; the pixel of an image is its number. Labels mix the classes."""
    images = np.arange(20, dtype=np.uint8)[:, None, None, None]
    return ImageClasses.from_labels(images, np.arange(20) % 4, list("abcd"))


def drawn(classes, count, **options):
    """[(numbers of images, labels)] of batches."""
    batches = list(classes.labelled_batches(**options).take(count))
    return [(np.rint(x[:, 0, 0, 0] * 255).astype(int).tolist(), y.numpy().tolist()) for x, y in batches]


def test_every_epoch_is_a_permutation_of_its_own(classes):
    batches = drawn(classes, 8, batch_size=5, seed=1)
    epochs = [sum((numbers for numbers, _ in batches[i : i + 4]), []) for i in (0, 4)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs) and epochs[0] != epochs[1]
    assert epochs[0] != sorted(epochs[0])
    for numbers, labels in batches:
        assert labels == [number % 4 for number in numbers]
    assert drawn(classes, 4, batch_size=5, seed=2) != batches[:4]


def test_a_batch_goes_on_in_the_next_pass(classes):
    numbers = sum((numbers for numbers, _ in drawn(classes, 10, batch_size=6, seed=0)), [])
    passes = [numbers[first : first + 20] for first in (0, 20, 40)]
    assert all(sorted(part) == list(range(20)) for part in passes) and passes[0] != passes[1]


@pytest.mark.parametrize("start", [1, 3, 4, 10])
def test_batches_do_not_depend_on_the_start_or_on_shards(classes, start):
    options = dict(batch_size=5, seed=6)
    whole = drawn(classes.with_rotations(), 16, **options)
    assert drawn(classes.with_rotations(), 4, start=start, **options) == whole[start : start + 4]
    shards = [drawn(classes.with_rotations(), 3, start=start, shard=(2, index), **options) for index in (0, 1)]
    assert [batch for pair in zip(*shards) for batch in pair] == whole[start : start + 6]


def test_dtypes_and_augmentation(classes):
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    plain = ImageClasses.from_labels(images, np.arange(20) % 4, list("abcd"))
    augmented = plain.with_augmentation({"crop_padding": 2, "flip": True})
    assert augmented.num_images == 20
    ((x, y),), ((x_plain, y_plain),) = (part.labelled_batches(20, seed=4).take(1) for part in (augmented, plain))
    assert (x.dtype.name, x.shape, y.dtype.name, y.shape) == ("float32", (20, 8, 8, 3), "int64", (20,))
    np.testing.assert_array_equal(y, y_plain)
    assert (np.abs(x - x_plain).max(axis=(1, 2, 3)) > 0).mean() > 0.8
    np.testing.assert_array_equal(x, next(iter(augmented.labelled_batches(20, seed=4)))[0])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batch_size": 21}, "`batch_size` must be an int from 1 to 20. Received: batch_size=21"),
        ({"seed": -1}, "`seed` must be an int from 0 to"),
        ({"start": -1}, "`start` must be an int from 0 to"),
        ({"shard": (2, 2)}, "`shard` must be (number of shards, index below it)."),
    ],
)
def test_impossible_arguments_are_named(classes, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        classes.labelled_batches(**{"batch_size": 4, **options})


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
