"""Where the images of a data set lie until they are drawn.

A source has `shape` [N, H, W, C]; `source[row]`, one image as uint8; `tensors()`, what its images are drawn from, handed on
as an element of a tf.data.Dataset; `pixels(tensors, rows)`, images in the graph; and `num_threads`, how many of them drawing
keeps busy. The same images give the same episodes, whatever the source.
"""

import functools
import os

import numpy as np
import tensorflow as tf

from zoo.datasets.image_files import read_image

ENCODINGS = ("jpeg", "png")


class ArraySource:
    """Images in memory: uint8 [N, H, W, C]."""

    num_threads = 1  # nothing to decode

    def __init__(self, images):
        self.images, self.shape = images, images.shape

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, row):
        return self.images[row]

    def tensors(self):
        return self._tensor

    def pixels(self, images, rows):
        """uint8 [N, H, W, C], int64 [n] -> uint8 [n, H, W, C]."""
        return tf.gather(images, rows)

    @functools.cached_property
    def _tensor(self):  # once for all episodes; shares the memory of `images`
        with tf.init_scope(), tf.device("CPU"):
            return tf.convert_to_tensor(self.images)


class EncodedSource:
    """Images in memory as the files that they came as, all of one size, decoded when they are drawn.

    Args:
        files: bytes of JPEG or PNG files of 8 bits a channel.
        image_shape: (height, width, channels) that each of them has, 1 (grey) or 3 (RGB) channels.
        encoding: "jpeg" or "png", of all of them.

    Raises:
        ValueError: for an unknown encoding.
    """

    def __init__(self, files, image_shape, encoding):
        if encoding not in ENCODINGS:
            raise ValueError(f"`encoding` must be one of {ENCODINGS}. Received: encoding={encoding!r}")
        self.shape, self.encoding = (len(files), *image_shape), encoding
        with tf.init_scope(), tf.device("CPU"):
            self._files = tf.constant(files, tf.string, [len(files)])

    @property
    def num_threads(self):
        return os.cpu_count() or 1

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, row):
        return read_image(self._files[row].numpy(), *self.shape[1:], invert=False)

    def tensors(self):
        return self._files

    def pixels(self, files, rows):
        """string [N], int64 [n] -> uint8 [n, H, W, C]."""
        return decoded(tf.gather(files, rows), self.shape[1:], self.encoding)


def decoded(files, image_shape, encoding):
    """JPEG or PNG files of one size, string [n] -> uint8 [n, *image_shape], the levels that Pillow reads."""

    def decode(file):
        if encoding == "jpeg":
            pixels = tf.io.decode_jpeg(file, channels=image_shape[-1], dct_method="INTEGER_ACCURATE")  # Pillow's
        else:
            pixels = tf.io.decode_png(file, channels=image_shape[-1])
        return tf.ensure_shape(pixels, image_shape)

    return tf.map_fn(decode, files, fn_output_signature=tf.TensorSpec(image_shape, tf.uint8), parallel_iterations=16)


def as_source(images):
    """A source of images: a uint8 array [N, H, W, C], or what is one already."""
    return ArraySource(images) if isinstance(images, np.ndarray) else images
