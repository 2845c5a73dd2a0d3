import io
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from export.preprocessing import decode_images


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


def test_an_empty_string_is_a_row_of_zeros_even_where_paper_would_be_inverted():
    images = decode([file_of(letter(28)), b""], invert=True)
    assert images[0].max() > 0.9 and (images[1] == 0).all()


def test_a_broken_file_is_an_error():
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode([b"no image"])


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
