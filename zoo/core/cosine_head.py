"""A classifier's last layer that compares directions."""

import keras
import tensorflow as tf

from zoo.core import arguments


@keras.saving.register_keras_serializable("metazoa")
class CosineHead(keras.layers.Layer):
    """s cos(f, w_n) for embeddings f and one learned direction w_n per class, with a learned scale s.

    Gidaris, Komodakis: Dynamic Few-Shot Visual Learning without Forgetting, CVPR 2018, https://arxiv.org/abs/1804.09458;
    Chen et al. 2019, https://arxiv.org/abs/1904.04232.

    Args:
        num_classes: number of directions.
        scale: s at first. Cosines alone are too near each other for a softmax.

    Input: float [B, D]. Output: logits [B, num_classes].

    Raises:
        ValueError: for a number of classes below 2, or a scale that is not above 0.

    Example:

    >>> from zoo.core.cosine_head import CosineHead
    >>> logits = CosineHead(64)(keras.ops.ones((8, 1600)))  # [8, 64]
    """

    def __init__(self, num_classes, scale=10.0, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = arguments.count("num_classes", num_classes, at_least=2)
        self.initial_scale = arguments.number("scale", scale, above=0)

    def build(self, input_shape):
        self.directions = self.add_weight(shape=(input_shape[-1], self.num_classes), name="directions")
        self.scale = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(self.initial_scale), name="scale"
        )

    def call(self, embeddings):
        directions = tf.math.l2_normalize(tf.convert_to_tensor(self.directions), axis=0)
        return self.scale * tf.matmul(tf.math.l2_normalize(embeddings, axis=-1), directions)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.num_classes)

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes, "scale": self.initial_scale}
