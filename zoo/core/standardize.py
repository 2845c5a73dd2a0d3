"""Colour images from 0 to 1 to numbers of mean 0 and variance 1, inside a network."""

import keras
import tensorflow as tf

from zoo.core import arguments

# Of ImageNet's training images as values from 0 to 1, red, green and blue: the constants that models of torchvision are
# trained with, https://pytorch.org/vision/stable/models.html.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STDDEV = (0.229, 0.224, 0.225)


@keras.saving.register_keras_serializable("metazoa")
class Standardize(keras.layers.Layer):
    """(x - mean) / stddev of each channel, the last axis. The numbers are in the config; the layer has no weights.

    Args:
        mean, stddev: a number per channel, stddev above 0; those of ImageNet's colours unless given.

    Input and output: float [B, ..., channels].

    Raises:
        ValueError: for lists of two lengths, or a stddev that is not above 0; when built, for another number of channels.
    """

    def __init__(self, mean=IMAGENET_MEAN, stddev=IMAGENET_STDDEV, **kwargs):
        super().__init__(**kwargs)
        self.mean = [float(arguments.number("mean", value)) for value in mean]
        self.stddev = [float(arguments.number("stddev", value, above=0)) for value in stddev]
        if len(self.mean) != len(self.stddev):
            raise ValueError(f"`mean` and `stddev` must be of one length. Received: mean={mean}, stddev={stddev}")

    def build(self, input_shape):
        if input_shape[-1] != len(self.mean):
            raise ValueError(
                f"Standardize needs a mean and a stddev of each channel. Received: {len(self.mean)} of them, "
                f"input shape {tuple(input_shape)}"
            )

    def call(self, x):
        return (x - tf.constant(self.mean, x.dtype)) / tf.constant(self.stddev, x.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


def standardized(images, standardize=None):
    """The images of a backbone's input as its first convolution sees them.

    Args:
        images: Keras tensor [B, H, W, C], from 0 to 1.
        standardize: None standardizes three channels by ImageNet's means and deviations, and leaves any other number as it is;
            True, False, or {"mean": [C numbers], "stddev": [C numbers]}.

    Raises:
        ValueError: for anything else, and for True where there are not three channels.
    """
    channels = images.shape[-1]
    known = isinstance(standardize, (bool, type(None))) or (
        isinstance(standardize, dict) and set(standardize) == {"mean", "stddev"}
    )
    if not known or (standardize is True and channels != 3):
        raise ValueError(
            "`standardize` must be None, True for three channels, False, or {'mean': [...], 'stddev': [...]}. "
            f"Received: standardize={standardize!r} for {channels} channels"
        )
    if standardize is False or (standardize is None and channels != 3):
        return images
    return Standardize(**(standardize if isinstance(standardize, dict) else {}), name="standardize")(images)
