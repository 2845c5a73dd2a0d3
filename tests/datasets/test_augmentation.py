import re
import sys

import numpy as np
import pytest

from zoo.datasets.augmentation import Augmentation
from zoo.datasets.sampler import ImageClasses

SEED = (3, 7)


def images_of(count, side=6, channels=3):
    return np.random.default_rng(0).random((count, side, side, channels), dtype=np.float32)


def test_crops_are_parts_of_the_padded_image():
    """Each of the 25 places of a crop comes up, and nothing else."""
    images = np.repeat(images_of(1), 600, axis=0)
    padded = np.pad(images[0], [(2, 2), (2, 2), (0, 0)])
    places = {padded[r : r + 6, c : c + 6].tobytes(): (r, c) for r in range(5) for c in range(5)}
    found = [places[image.tobytes()] for image in Augmentation(crop_padding=2)(images, SEED).numpy()]
    counts = np.unique(found, axis=0, return_counts=True)[1]
    assert len(counts) == 25 and counts.min() > 5 and counts.max() < 50  # 24 expected, standard deviation 5


def test_half_of_the_images_are_flipped():
    images = images_of(400)
    flipped = (Augmentation(flip=True)(images, SEED).numpy() == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert 160 < flipped.sum() < 240
    np.testing.assert_array_equal(Augmentation(flip=True)(images, SEED).numpy()[~flipped], images[~flipped])


def test_colours_are_jittered_as_the_docstring_says():
    """Brightness, contrast and saturation of one image, their factors found from pixels that nothing clips."""
    images = 0.4 + 0.1 * images_of(50)
    changed = Augmentation(color_jitter=0.2)(images, SEED).numpy().astype(np.float64)
    luma = np.array([0.299, 0.587, 0.114])
    grey, grey_changed = images @ luma, changed @ luma
    brightness = grey_changed.mean(axis=(1, 2)) / grey.mean(axis=(1, 2))  # contrast and saturation keep the mean
    contrast = grey_changed.std(axis=(1, 2)) / grey.std(axis=(1, 2)) / brightness
    spread = (changed - grey_changed[..., None]).std(axis=(1, 2, 3)) / (images - grey[..., None]).std(axis=(1, 2, 3))
    saturation = spread / brightness / contrast
    for factors in (brightness, contrast, saturation):
        assert 0.8 - 1e-4 < factors.min() < 0.85 and 1.15 < factors.max() < 1.2 + 1e-4
    assert abs(np.corrcoef(brightness, contrast)[0, 1]) < 0.5
    bright = Augmentation(color_jitter=1.0)(images_of(50), SEED).numpy()
    assert bright.min() >= 0 and bright.max() <= 1


def test_grey_images_keep_their_channel():
    images = images_of(5, channels=1)
    changed = Augmentation(2, True, 0.5)(images, SEED)
    assert changed.shape == images.shape and (changed.numpy() != images).any(axis=(1, 2, 3)).all()


def test_tasks_are_changed_by_seed_and_number_alone():
    pixels = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), dtype=np.uint8)
    plain = ImageClasses.from_labels(pixels, np.repeat(np.arange(4), 6), list("abcd"))
    classes = plain.with_augmentation({"crop_padding": 2, "flip": True, "color_jitter": 0.4})
    options = dict(way=3, shot=2, query=2, seed=5)
    (x, _), (later, _) = classes.episodes(num_tasks=2, **options).take(2)
    again = [x for x, _ in classes.episodes(num_tasks=1, start=2, **options).take(2)]
    np.testing.assert_array_equal(np.concatenate([part["query_x"] for part in again]), later["query_x"])
    ((plain_x, _),) = plain.episodes(num_tasks=2, **options).take(1)
    assert (np.abs(x["support_x"] - plain_x["support_x"]).max(axis=(2, 3, 4)) > 0.05).mean() > 0.9
    assert repr(classes).endswith("8x8x3, augmented)") and plain.with_augmentation({}) == plain


@pytest.mark.parametrize(
    "options, message",
    [
        ({"crop_padding": -1}, "`crop_padding` must be an int of at least 0. Received: crop_padding=-1"),
        ({"flip": "yes"}, "`flip` must be True or False. Received: flip='yes'"),
        ({"color_jitter": 1.5}, "`color_jitter` must be a number from 0 to 1. Received: color_jitter=1.5"),
        ({"color_jitter": True}, "`color_jitter` must be a number from 0 to 1. Received: color_jitter=True"),
        (
            {"colour_jitter": 0.5},
            "with names among ['crop_padding', 'flip', 'color_jitter']. Received: {'colour_jitter': 0.5}",
        ),
        (True, "`augmentation` must be a dict with names among"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Augmentation.from_options(options)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
