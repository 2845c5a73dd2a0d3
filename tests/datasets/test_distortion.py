import sys

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from zoo.datasets import distortion


def characters(count=3, height=28, width=28):
    """Blobs well inside of the image, ink 1 on paper 0."""
    noise = np.random.default_rng(0).random((count, height, width))
    noise[:, :6], noise[:, -6:], noise[:, :, :6], noise[:, :, -6:] = 0, 0, 0, 0
    return ndimage.gaussian_filter(noise, (0, 1, 1)).astype(np.float32)[..., None]


def reference(image, rotation, shear, scale, shift):
    """The forward map of the docstring, inverted by NumPy, in float64: [H, W, 1]."""
    rotate = np.array([[np.cos(rotation), -np.sin(rotation)], [np.sin(rotation), np.cos(rotation)]])
    forward = rotate @ np.array([[1, shear[0]], [shear[1], 1]]) @ np.diag(scale)
    height, width = image.shape[:2]
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    y, x = np.mgrid[:height, :width]
    points = np.stack([x.ravel(), y.ravel()]) - (centre + shift)[:, None]
    source = np.linalg.inv(forward) @ points + centre[:, None]
    values = ndimage.map_coordinates(image[..., 0].astype(np.float64), source[::-1], order=1, mode="grid-constant")
    return values.reshape(height, width, 1)


@pytest.mark.parametrize("size", [(28, 28), (20, 31)])
def test_each_image_takes_its_own_transform_of_the_docstring(size):
    images = characters(40, *size)
    transforms = distortion.random_transforms(40, size, tf.constant([3, 4]))
    distorted = distortion.distort(images, tf.constant([3, 4])).numpy()
    assert distorted.shape == images.shape and distorted.dtype == np.float32
    rotation, shear, scale, shift = (np.array(values, np.float64) for values in transforms)
    for i in range(40):
        expected = reference(images[i], rotation[i], shear[:, i], scale[:, i], shift[:, i])
        np.testing.assert_allclose(distorted[i], expected, atol=1e-4)


@pytest.mark.parametrize(
    "change, moved_to",
    [
        ({"rotation": np.pi / 2}, (14, 18)),  # a quarter turn clockwise: from right of the centre to below it
        ({"shear": (0.0, 0.5)}, (18, 16)),  # shear in y moves a point down as far as half its x
        ({"scale": (0.5, 1.0)}, (16, 14)),
        ({"shift": (2.0, -3.0)}, (20, 11)),
    ],
)
def test_each_component_moves_a_dot_where_it_must(change, moved_to):
    """A dot 4 pixels right of the centre (14, 14) of a 29x29 image; places are (x, y)."""
    image = np.zeros((1, 29, 29, 1), np.float32)
    image[0, 14, 18, 0] = 1
    identity = {"rotation": 0.0, "shear": (0.0, 0.0), "scale": (1.0, 1.0), "shift": (0.0, 0.0)}
    transform = {name: tf.constant(value)[..., None] for name, value in {**identity, **change}.items()}
    y, x = np.unravel_index(distortion.warp(image, **transform).numpy().argmax(), (29, 29))
    assert (x, y) == moved_to


def test_components_are_kochs_on_half_of_the_time_each_by_itself():
    rotation, shear, scale, shift = distortion.random_transforms(4000, (105, 210), tf.constant([0, 1]))
    components = np.stack([np.degrees(rotation), *shear, *np.array(scale) - 1, *shift])
    bounds = np.array([10, 0.3, 0.3, 0.2, 0.2, 4, 2])  # 2 pixels of 105; the side of 210 has 4
    on = np.abs(components) > 1e-6
    np.testing.assert_allclose(on.mean(axis=1), 0.5, atol=0.04)  # five standard deviations
    np.testing.assert_allclose(components.max(axis=1), bounds, rtol=0.02)
    np.testing.assert_allclose(components.min(axis=1), -bounds, rtol=0.02)
    np.testing.assert_allclose([row[row != 0].std() for row in components * on], bounds / np.sqrt(3), rtol=0.1)
    assert np.abs(np.corrcoef(on) - np.eye(7)).max() < 0.08 and np.abs(np.corrcoef(components) - np.eye(7)).max() < 0.08


def test_shifts_shrink_with_the_image():
    shift = np.array(distortion.random_transforms(1000, (28, 28), tf.constant([0, 1]))[3])
    assert 0.5 < np.abs(shift).max() <= 2 * 28 / 105


def test_the_same_seed_gives_the_same_distortions():
    images = characters()
    first, again, other = (distortion.distort(images, tf.constant([0, seed])).numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
