"""Images from 0 to 1 to the pixels that a pretrained network was trained on."""

import keras
import tensorflow as tf

from zoo.core import arguments
from zoo.core.standardize import IMAGENET_MEAN, IMAGENET_STDDEV

_BGR_MEAN = (103.939, 116.779, 123.68)  # of ImageNet, as Caffe's models were trained

MODES = ("tf", "torch", "caffe", "inside")


@keras.saving.register_keras_serializable("metazoa")
class ApplicationPixels(keras.layers.Layer):
    """What `preprocess_input` of keras.applications makes of levels 0 to 255, from images from 0 to 1.

        tf          2 x - 1
        torch       (x - mean) / stddev of ImageNet's colours
        caffe       255 x, blue first, minus ImageNet's mean
        inside      255 x: the network does the rest

    Args:
        mode: one of the names above.

    Input and output: float [B, H, W, 3].

    Raises:
        ValueError: for an unknown `mode`.
    """

    def __init__(self, mode, **kwargs):
        super().__init__(**kwargs)
        self.mode = arguments.choice("mode", mode, MODES)

    def call(self, x):
        if self.mode == "tf":
            return 2 * x - 1
        if self.mode == "torch":
            return (x - tf.constant(IMAGENET_MEAN, x.dtype)) / tf.constant(IMAGENET_STDDEV, x.dtype)
        if self.mode == "caffe":
            return 255 * x[..., ::-1] - tf.constant(_BGR_MEAN, x.dtype)
        return 255 * x

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}
