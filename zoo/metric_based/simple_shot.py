"""SimpleShot: nearest centroid on the features of a plain classifier."""

import keras
import numpy as np
import tensorflow as tf

from zoo.core import arguments, distances, episode
from zoo.core.embedding import EmbeddingModel

TRANSFORMS = ("none", "l2n", "cl2n")
_LEVELS = 16  # no standardized pixel is as high, nearly every picture of levels up to 255 is


@keras.saving.register_keras_serializable("metazoa")
class SimpleShot(EmbeddingModel):
    """SimpleShot: a query is of the class with the nearest mean, after the features are centred and normalized.

    Wang, Chao, Weinberger, van der Maaten: SimpleShot: Revisiting Nearest-Neighbor Classification for Few-Shot Learning,
    2019, https://arxiv.org/abs/1911.04623, section 3:

        z        = f(x)                                   transform "none", the paper's UN
        z        = f(x) / |f(x)|                          "l2n"
        z        = (f(x) - m) / |f(x) - m|                "cl2n", with m the mean of f over the training classes
        c_n      = mean of z over the support images of class n
        answer   = the n with the smallest |z - c_n|

    f is the body of an ordinary classifier of the training classes: `python -m trainers.pretrain` trains it, and measures m.

    Task state: `prototypes` float32 [T, way, D], `class_counts` float32 [T, way].
    Not transductive with a backbone of running statistics, as in the paper.

    Differs from the paper: nothing in the answers. The paper gives no probabilities; here they are the softmax of
    -scale |z - c_n|^2, which `fit` can train on episodes too.

    Args:
        backbone: keras.Model, images [B, *input_shape] -> embeddings [B, D].
        way: classes per task that it answers for; None takes the highest support label of the batch plus one.
        transform: "none", "l2n" or "cl2n". m is a weight of the model, `base_mean` float32 [D], 0 until it is measured.
        scale: of the probabilities; changes no answer.

    Raises:
        ValueError: for an unknown `transform`, a `scale` that is not above 0, and inputs of a wrong rank, shape or dtype.

    Example:

    >>> import zoo
    >>> glyphs = zoo.datasets.load("glyphs", "train")
    >>> model = zoo.SimpleShot(zoo.backbones.conv4())
    >>> model.measure_base_mean(np.stack([glyphs.image(number, 0) for number in range(glyphs.num_classes)]))
    """

    supports_variable_way = True
    supports_mixed_precision = True
    classes_in_state = "by_class"

    def __init__(self, backbone, way=None, transform="cl2n", scale=10.0, **kwargs):
        super().__init__(backbone, way=way, **kwargs)
        self.transform = arguments.choice("transform", transform, TRANSFORMS)
        self.scale = arguments.number("scale", scale, above=0)
        # There for every transform, so that a trained model can be asked with another one.
        shape = self.backbone.output_shape[1:]
        self.base_mean = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="base_mean")

    def measure_base_mean(self, images):
        """Sets m to the mean embedding of images of the training classes.

        Args:
            images: float32 [N, *input_shape], or a finite tf.data.Dataset of batches of them.

        Raises:
            ValueError: for images of another shape or type, and for levels up to 255, as integers or floats: m of these would be far
                from every embedding.
        """
        images = images if isinstance(images, tf.data.Dataset) else np.asarray(images)
        spec = getattr(images, "element_spec", images)
        fits = tf.TensorShape(spec.shape).is_compatible_with((None, *self.input_shape))
        if not fits or not tf.as_dtype(spec.dtype).is_floating:
            wanted = ", ".join(["N", *map(str, self.input_shape)])
            received = f"dtype={tf.as_dtype(spec.dtype).name}, shape={tuple(spec.shape)}"
            raise ValueError(f"`images` must be float [{wanted}]. Received: {received}")
        first = next(iter(images.take(1))) if isinstance(images, tf.data.Dataset) else images
        highest = float(tf.reduce_max(first)) if len(self.input_shape) == 3 and 0 not in first.shape else 0.0
        if highest > _LEVELS:
            raise ValueError(f"`images` must be floats from 0 to 1, not levels up to 255. Received: {highest:.6g}")
        # A sum in bfloat16 ends at 256 times what it adds.
        embeddings = self.backbone.predict(images, verbose=0).astype(self.base_mean.dtype)
        self.base_mean.assign(embeddings.mean(axis=0))

    def adapt_embeddings(self, embeddings, support_y, training=False):
        prototypes, counts = episode.class_means(self._transformed(embeddings), support_y, self.num_ways(support_y))
        return {"prototypes": prototypes, "class_counts": counts}

    def predict_embeddings(self, task_state, query_embeddings, training=False):
        z = self._transformed(query_embeddings)
        logits = -self.scale * distances.squared_euclidean(z, task_state["prototypes"])  # [T, Q, way]
        return episode.mask_absent_classes(logits, task_state["class_counts"])

    def _transformed(self, embeddings):
        """z of embeddings [T, rows, D]."""
        if self.transform == "none":
            return embeddings
        centre = tf.cast(self.base_mean, embeddings.dtype) if self.transform == "cl2n" else 0.0
        return tf.math.l2_normalize(embeddings - centre, axis=-1)

    def get_config(self):
        return {**super().get_config(), "transform": self.transform, "scale": self.scale}
