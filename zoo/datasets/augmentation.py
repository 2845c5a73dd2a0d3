"""Random changes of photographs that leave them pictures of the same thing."""

import dataclasses
import numbers

import tensorflow as tf

from zoo.datasets.options import check_bool, check_int

_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow makes grey of colours


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How episodes and batches show each image, drawn anew for each, from stateless random numbers.

    Args:
        crop_padding: int; so many pixels of 0 are laid around the image, and a part of its own size is cut out at random.
        flip: whether left and right are exchanged with probability 0.5.
        color_jitter: j from 0 to 1; brightness, then contrast (about the mean grey level of the image), then saturation
            (about the grey level of each pixel; where there are colours) are multiplied by factors of their own from
            1 - j to 1 + j, levels clipped at 0 and 1 after each.

    Raises:
        ValueError: for values out of range.

    Example:
        >>> changed = Augmentation(crop_padding=8, flip=True)(images, seed=(0, 1))
    """

    crop_padding: int = 0
    flip: bool = False
    color_jitter: float = 0.0

    def __post_init__(self):
        check_int("crop_padding", self.crop_padding, 0)
        check_bool("flip", self.flip)
        is_number = isinstance(self.color_jitter, numbers.Real) and not isinstance(self.color_jitter, bool)
        if not is_number or not 0 <= self.color_jitter <= 1:
            raise ValueError(
                f"`color_jitter` must be a number from 0 to 1. Received: color_jitter={self.color_jitter!r}"
            )

    @classmethod
    def from_options(cls, options):
        """The augmentation of a config's dict, or None for None and for {}. Raises ValueError for unknown names."""
        known = [field.name for field in dataclasses.fields(cls)]
        if options is None:
            return None
        if not isinstance(options, dict) or set(options) - set(known):
            raise ValueError(f"`augmentation` must be a dict with names among {known}. Received: {options!r}")
        return cls(**options) if options else None

    def __call__(self, images, seed):
        """float32 [n, H, W, C] from 0 to 1 and an int [2] seed -> images changed, of the same shape."""
        crop_seed, flip_seed, color_seed = tf.unstack(tf.random.split(seed, 3))
        if self.crop_padding:
            images = _cropped(images, self.crop_padding, crop_seed)
        if self.flip:
            flipped = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], flip_seed) < 0.5
            images = tf.where(flipped, images[:, :, ::-1], images)
        return _jittered(images, self.color_jitter, color_seed) if self.color_jitter else images


def _cropped(images, padding, seed):
    height, width = images.shape[1:3]
    around = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
    starts = tf.random.stateless_uniform([2, tf.shape(images)[0], 1], seed, 0, 2 * padding + 1, tf.int32)
    images = tf.gather(tf.pad(images, around), starts[0] + tf.range(height), axis=1, batch_dims=1)
    # The rows of each image are its batch now: its columns are the same for all of them.
    return tf.gather(images, starts[1] + tf.range(width), axis=2, batch_dims=1)


def _jittered(images, jitter, seed):
    factors = tf.random.stateless_uniform([3, tf.shape(images)[0], 1, 1, 1], seed, 1.0 - jitter, 1.0 + jitter)
    images = tf.clip_by_value(images * factors[0], 0.0, 1.0)
    mean = tf.reduce_mean(_grey(images), axis=(1, 2), keepdims=True)  # [n, 1, 1, 1]
    images = tf.clip_by_value(mean + (images - mean) * factors[1], 0.0, 1.0)
    if images.shape[-1] == 1:
        return images
    grey = _grey(images)  # [n, H, W, 1]
    return tf.clip_by_value(grey + (images - grey) * factors[2], 0.0, 1.0)


def _grey(images):
    return images if images.shape[-1] == 1 else tf.reduce_sum(images * _LUMA, axis=-1, keepdims=True)
