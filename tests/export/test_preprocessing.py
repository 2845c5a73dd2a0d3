import io
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from export.preprocessing import decode_images
from zoo.datasets.image_files import read_image


def file_of(pixels, kind="PNG", mode="L"):
    stream = io.BytesIO()
    Image.fromarray(pixels, mode="L").convert(mode).save(stream, kind)
    return stream.getvalue()


def decode(files, shape=(28, 28, 1), invert=False):
    return decode_images(tf.constant([files]), shape, invert)[0].numpy()


def letter(size):
    """Dark ink on light paper: a thick cross."""
    pixels = np.full((size, size), 255, np.uint8)
    pixels[size // 3 : size // 2] = 0
    pixels[:, size // 2 : 2 * size // 3] = 40
    return pixels


def test_a_file_of_the_right_size_is_read_as_it_is():
    pixels = letter(28)
    np.testing.assert_allclose(decode([file_of(pixels)])[0, ..., 0], pixels / 255, atol=1e-3)
    np.testing.assert_allclose(decode([file_of(pixels)], invert=True)[0, ..., 0], 1 - pixels / 255, atol=1e-3)


def test_a_larger_file_is_resized_as_pillow_does_with_antialiasing():
    pixels = letter(105)
    expected = np.asarray(Image.fromarray(pixels, mode="L").resize((28, 28), Image.Resampling.LANCZOS)) / 255
    np.testing.assert_allclose(decode([file_of(pixels)])[0, ..., 0], expected, atol=0.02)


@pytest.mark.parametrize("kind, mode", [("PNG", "RGB"), ("PNG", "1"), ("PNG", "P"), ("JPEG", "RGB"), ("BMP", "L")])
def test_kinds_of_files_agree(kind, mode):
    pixels = np.where(letter(28) > 127, 255, 0).astype(np.uint8)
    np.testing.assert_allclose(decode([file_of(pixels, kind, mode)])[0, ..., 0], pixels / 255, atol=0.15)


def test_colour_stays_colour():
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 200
    stream = io.BytesIO()
    Image.fromarray(red).save(stream, "PNG")
    np.testing.assert_allclose(decode([stream.getvalue()], (8, 8, 3))[0], red / 255, atol=1e-3)


@pytest.mark.parametrize("shape, invert", [((28, 28, 1), True), ((16, 12, 3), False)], ids=str)
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_the_graph_brings_a_picture_to_its_shape_as_training_does(fit, shape, invert):
    """Wide, high, of odd sides, smaller than the shape, and a line that padding as it stands would make 10,000 x 10,000."""
    rng, files = np.random.default_rng(0), []
    for width, height in [(61, 40), (33, 50), (40, 57), (7, 5), (57, 57), (1, 30), (10000, 1)]:
        stream = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(stream, "PNG")
        files.append(stream.getvalue())
    expected = np.stack([read_image(file, *shape, invert, fit) for file in files]) / 255
    found = decode_images(tf.constant([files]), shape, invert, fit)[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1.01 / 255)


def test_an_unknown_fit_is_refused():
    with pytest.raises(ValueError, match="`fit` must be one of .* Received: fit='cover'"):
        decode_images(tf.constant([[b""]]), (8, 8, 1), False, "cover")


def test_a_file_that_is_empty_or_broken_is_not_a_number():
    images = decode([file_of(letter(28)), b"", b"no image"], invert=True)
    assert images[0].max() > 0.9 and np.isnan(images[1:]).all()


def test_what_the_structure_of_a_file_does_not_tell_is_an_error():
    """The clients open a file before they send it."""
    file = file_of(letter(28))
    start = file.index(b"IDAT") + 8
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode([file[:start] + bytes([file[start] ^ 255]) + file[start + 1 :]])


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
