"""Every method once; the conformance tests sweep this list."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

import zoo

IMAGE_SHAPE = (16, 16, 1)
WAY = 3


@dataclasses.dataclass(frozen=True)
class Method:
    """How to build a small model of a method, and what it claims.

    Attributes:
        name: for test ids.
        build: () -> model with `way` 3 on 16x16 images, or with any way where `variable_way`.
        transductive: whether a query's answer changes with the other queries.
        variable_way: whether `way` may be None.
        state: names and shapes, without T, of the task state for way 3.
        trains_on_padding: whether training episodes may hold padded rows as it is built here.
    """

    name: str
    build: Callable
    transductive: bool
    variable_way: bool
    state: dict
    trains_on_padding: bool


def _backbone(**options):
    return zoo.backbones.conv4(IMAGE_SHAPE, filters=4, **options)


_MAML_STATE = {
    "conv_1/kernel": (3, 3, 1, 4),
    "conv_2/kernel": (3, 3, 4, 4),
    "conv_3/kernel": (3, 3, 4, 4),
    "conv_4/kernel": (3, 3, 4, 4),
    "head/kernel": (4, WAY),
    "head/bias": (WAY,),
    "class_counts": (WAY,),
}

METHODS = [
    Method(
        "prototypical_network",
        lambda: zoo.PrototypicalNetwork(_backbone(), way=WAY),
        transductive=False,
        variable_way=True,
        state={"prototypes": (WAY, 4), "class_counts": (WAY,)},
        trains_on_padding=True,
    ),
    Method(
        "maml",
        lambda: zoo.MAML(_backbone(statistics="batch"), way=WAY, num_inner_steps=2, inner_learning_rate=0.5),
        transductive=True,
        variable_way=False,
        state=_MAML_STATE,
        trains_on_padding=False,
    ),
    Method(
        "maml_without_norm",
        lambda: zoo.MAML(
            zoo.backbones.mlp(IMAGE_SHAPE, hidden_sizes=(8,)),
            way=WAY,
            num_inner_steps=1,
            num_inner_steps_test=3,
            inner_learning_rate=0.5,
            padded_support=True,
        ),
        transductive=False,
        variable_way=False,
        state={
            "dense_1/kernel": (256, 8),
            "dense_1/bias": (8,),
            "head/kernel": (8, WAY),
            "head/bias": (WAY,),
            "class_counts": (WAY,),
        },
        trains_on_padding=True,
    ),
]


def build(method, seed=0):
    """The method's model with weights fixed by the seed, moved off their symmetric start."""
    keras.utils.set_random_seed(seed)
    model = method.build()
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if "moving_variance" not in variable.path:
            variable.assign(variable + 0.1 * rng.standard_normal(variable.shape).astype(variable.dtype))
    return model


def episode(num_tasks=2, way=WAY, shot=2, query=2, seed=0, image_shape=IMAGE_SHAPE):
    """A batch of random episodes, rows shuffled: (x, y) of tensors."""
    rng = np.random.default_rng(seed)
    patterns = rng.random((num_tasks, way, *image_shape))

    def rows(count):
        labels = np.stack([rng.permutation(np.repeat(np.arange(way), count)) for _ in range(num_tasks)])
        images = np.take_along_axis(patterns, labels.reshape(num_tasks, -1, *[1] * len(image_shape)), axis=1)
        return tf.constant(images + 0.5 * rng.random(images.shape), tf.float32), tf.constant(labels, tf.int64)

    (support_x, support_y), (query_x, query_y) = rows(shot), rows(query)
    return {"support_x": support_x, "support_y": support_y, "query_x": query_x}, query_y
