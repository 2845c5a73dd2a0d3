"""Every method once; the conformance tests sweep this list."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo

IMAGE_SHAPE = (16, 16, 1)
WAY = 3


@dataclasses.dataclass(frozen=True)
class Method:
    """How to build a small model of a method, and what it claims.

    Attributes:
        name: for test ids.
        build: () -> model with `way` 3 on 16x16 images.
        transductive: whether a query's answer changes with the other queries.
        variable_way: whether no weight depends on `way`, so that a trained model can be built again with another one.
        state: names and shapes, without T, of the task state for way 3.
        trains_on_padding: whether training episodes may hold padded rows as it is built here.
        exact_gradient: whether training follows the gradient of the loss; False where the paper makes parts constants.
        variant: whether it differs from another one in the list by little; `make test-all` sweeps it, `make test` does not.
    """

    name: str
    build: Callable
    transductive: bool
    variable_way: bool
    state: dict
    trains_on_padding: bool
    exact_gradient: bool = True
    variant: bool = False


def _backbone(**options):
    return zoo.backbones.conv4(IMAGE_SHAPE, filters=4, **options)


def _frozen_backbone():
    """With the averages of some images, as after a training before."""
    before, backbone = _backbone(momentum=0.0), _backbone(statistics="frozen")
    before(tf.random.stateless_uniform([32, *IMAGE_SHAPE], [1, 2]), training=True)
    backbone.set_weights(before.get_weights())
    return backbone


_MAML_STATE = {
    "block_1/conv_1/kernel": (3, 3, 1, 4),
    "conv_2/kernel": (3, 3, 4, 4),
    "conv_3/kernel": (3, 3, 4, 4),
    "conv_4/kernel": (3, 3, 4, 4),
    "head/kernel": (4, WAY),
    "head/bias": (WAY,),
    "class_counts": (WAY,),
}

_NORMS = ("block_1/norm_1", "norm_2", "norm_3", "norm_4")
_SUPPORT_STATISTICS = {f"{norm}/support_{name}": (4,) for norm in _NORMS for name in ("mean", "variance")}
_NORM_STATE = ("gamma", "beta", "moving_mean", "moving_variance")


def _reptile(**options):
    backbone = zoo.backbones.strided_conv4(IMAGE_SHAPE, filters=4, scale=True, pooling="flatten")
    # Adam divides by gradients that are near 0 here: rounding would show. tests/optimization_based has it.
    sgd = dict(inner_optimizer="sgd", inner_learning_rate=0.5)
    return zoo.Reptile(backbone, way=WAY, num_inner_steps_test=3, **sgd, **options)


_REPTILE_STATE = {
    **_MAML_STATE,
    **{f"{norm}/{name}": (4,) for norm in _NORMS for name in ("gamma", "beta")},
}


def _relation(**options):
    """With the dense layers a hundred times as large as in the paper, whose scores at the start hardly differ."""
    model = zoo.RelationNetwork(zoo.backbones.relation_encoder(IMAGE_SHAPE, filters=4), way=WAY, **options)
    for name in ("relation_dense_1", "relation_dense_2"):
        kernel = model.relation.get_layer(name).kernel
        kernel.assign(100 * kernel)
    return model


def _two_plain_blocks():
    """Conv-5 with two blocks: five without normalization need more steps than a test has."""
    inputs = h = keras.Input(IMAGE_SHAPE)
    for _ in range(2):
        h = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, kernel_initializer="lecun_normal")(h)
        h = keras.layers.ReLU()(h)
        h = keras.layers.MaxPool2D(2, padding="same")(h)
    return keras.Model(inputs, keras.layers.Flatten()(h))


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
        "simple_shot",
        lambda: zoo.SimpleShot(_backbone(), way=WAY, scale=3.0),
        transductive=False,
        variable_way=True,
        state={"prototypes": (WAY, 4), "class_counts": (WAY,)},
        trains_on_padding=True,
    ),
    Method(
        "baseline_plus_plus",
        # Few steps, each of them long. Of 4 numbers per embedding, a scale of 10 leaves half precision too few digits.
        lambda: zoo.BaselinePlusPlus(_backbone(), way=WAY, num_steps=3, learning_rate=0.2, scale=3.0),
        transductive=False,
        variable_way=True,
        state={"class_weights": (WAY, 4), "scale": (), "class_counts": (WAY,)},
        trains_on_padding=True,
    ),
    Method(
        "matching_network",
        lambda: zoo.MatchingNetwork(_backbone(), way=WAY),
        transductive=False,
        variable_way=True,
        state={"keys": (6, 4), "labels": (6, WAY), "class_counts": (WAY,)},
        trains_on_padding=True,
        variant=True,
    ),
    Method(
        "matching_network_fce",
        lambda: zoo.FullContextMatchingNetwork(_backbone(), way=WAY, num_processing_steps=2),
        transductive=False,
        variable_way=True,
        state={"keys": (6, 4), "labels": (6, WAY), "class_counts": (WAY,)},
        trains_on_padding=True,
    ),
    Method(
        "siamese_network",
        lambda: zoo.SiameseNetwork(_backbone(), way=WAY, l2={"conv_1": 1e-3, "similarity": 1e-2}),
        transductive=False,
        variable_way=True,
        state={"embeddings": (2 * WAY, 4), "labels": (2 * WAY, WAY), "class_counts": (WAY,)},
        trains_on_padding=True,
    ),
    Method(
        "siamese_network_without_norm",
        lambda: zoo.SiameseNetwork(zoo.backbones.mlp(IMAGE_SHAPE, hidden_sizes=(8,)), way=WAY),
        transductive=False,
        variable_way=True,
        state={"embeddings": (2 * WAY, 8), "labels": (2 * WAY, WAY), "class_counts": (WAY,)},
        trains_on_padding=True,
        variant=True,
    ),
    Method(
        "relation_network",
        _relation,
        transductive=False,
        variable_way=True,
        state={"class_maps": (WAY, 2, 2, 4), "class_counts": (WAY,)},
        trains_on_padding=True,
    ),
    Method(
        "relation_network_transductive",
        lambda: _relation(evaluation="transductive"),
        transductive=True,
        variable_way=True,
        state={"class_maps": (WAY, 2, 2, 4), "class_counts": (WAY,)},
        trains_on_padding=True,
        variant=True,
    ),
    Method(
        "maml",
        lambda: zoo.MAML(_backbone(statistics="batch"), way=WAY, num_inner_steps=2, inner_learning_rate=0.5),
        transductive=False,
        variable_way=False,
        state={**_MAML_STATE, **_SUPPORT_STATISTICS},
        trains_on_padding=False,
    ),
    Method(
        "maml_transductive",
        lambda: zoo.MAML(
            _backbone(statistics="batch"),
            way=WAY,
            num_inner_steps=2,
            inner_learning_rate=0.5,
            query_statistics="queries",
        ),
        transductive=True,
        variable_way=False,
        state=_MAML_STATE,
        trains_on_padding=False,
        variant=True,
    ),
    Method(
        "fomaml",
        lambda: zoo.FOMAML(_backbone(statistics="batch"), way=WAY, num_inner_steps=2, inner_learning_rate=0.5),
        transductive=False,
        variable_way=False,
        state={**_MAML_STATE, **_SUPPORT_STATISTICS},
        trains_on_padding=False,
        exact_gradient=False,
        variant=True,
    ),
    Method(
        "maml_frozen_norm",
        lambda: zoo.MAML(_frozen_backbone(), way=WAY, num_inner_steps=2, inner_learning_rate=0.05),
        transductive=False,
        variable_way=False,
        state=_MAML_STATE,
        trains_on_padding=False,
        variant=True,
    ),
    Method(
        "anil",
        lambda: zoo.ANIL(_backbone(statistics="batch"), way=WAY, num_inner_steps=3, inner_learning_rate=0.5),
        transductive=False,
        variable_way=False,
        state={"head/kernel": (4, WAY), "head/bias": (WAY,), "class_counts": (WAY,), **_SUPPORT_STATISTICS},
        trains_on_padding=False,
        variant=True,
    ),
    Method(
        "meta_sgd",
        lambda: zoo.MetaSGD(_backbone(statistics="batch"), way=WAY, inner_learning_rate=(0.1, 0.5)),
        transductive=False,
        variable_way=False,
        state={**_MAML_STATE, **_SUPPORT_STATISTICS},
        trains_on_padding=False,
        variant=True,
    ),
    Method(
        "reptile",
        _reptile,
        transductive=False,
        variable_way=False,
        state={**_REPTILE_STATE, "support_x": (6, *IMAGE_SHAPE), "support_usable": (6,)},
        trains_on_padding=True,
        exact_gradient=False,
    ),
    Method(
        "reptile_by_support_statistics",
        lambda: _reptile(evaluation="support"),
        transductive=False,
        variable_way=False,
        state={**_REPTILE_STATE, **_SUPPORT_STATISTICS},
        trains_on_padding=True,
        exact_gradient=False,
        variant=True,
    ),
    Method(
        "reptile_transductive",
        lambda: _reptile(evaluation="transductive"),
        transductive=True,
        variable_way=False,
        state=_REPTILE_STATE,
        trains_on_padding=True,
        exact_gradient=False,
        variant=True,
    ),
    Method(
        "lstm_meta_learner",
        lambda: zoo.LSTMMetaLearner(_backbone(momentum=0.1), way=WAY, num_inner_steps=2, hidden_size=4),
        transductive=False,
        variable_way=False,
        state={
            **_MAML_STATE,
            **{f"{norm}/{name}": (4,) for norm in _NORMS for name in _NORM_STATE},
        },
        trains_on_padding=True,
        exact_gradient=False,
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
        variant=True,
    ),
    Method(
        "mann",
        lambda: zoo.MANN(
            zoo.backbones.pixels(IMAGE_SHAPE),
            WAY,
            memory_slots=16,
            memory_width=6,
            num_read_heads=2,
            controller_size=16,
        ),
        transductive=False,
        variable_way=False,
        state={
            "memory": (16, 6),
            "usage": (16,),
            "read_weights": (2, 16),
            "read": (12,),
            "h": (16,),
            "c": (16,),
            "last_label": (WAY,),
            "class_counts": (WAY,),
        },
        trains_on_padding=True,
    ),
    Method(
        "lstm_baseline",
        lambda: zoo.LSTMBaseline(zoo.backbones.pixels(IMAGE_SHAPE), WAY, controller_size=32),
        transductive=False,
        variable_way=False,
        state={"h": (32,), "c": (32,), "last_label": (WAY,), "class_counts": (WAY,)},
        trains_on_padding=True,
        variant=True,
    ),
    Method(
        "meta_network",
        # Starts above the noise that `build` adds, or the fast filters may all be silent behind their ReLU.
        lambda: zoo.MetaNetwork(
            _two_plain_blocks(),
            way=WAY,
            num_chunks=4,
            initializer={"class_name": "RandomNormal", "config": {"stddev": 0.3}},
        ),
        transductive=False,
        variable_way=False,
        # 9 * 4 + 9 * 4 * 4 convolution weights, 64 * 64 of the hidden layer and, for b, 64 * 3 of the softmax layer
        state={
            "keys": (2 * WAY, 64),
            "memory": (2 * WAY, 4468),
            "task_weights": (4276,),
            "usable": (2 * WAY,),
            "class_counts": (WAY,),
        },
        trains_on_padding=True,
        exact_gradient=False,
    ),
]


# One of each way to adapt and to train, for sweeps whose every method costs seconds: by means, by scores, as a stream, with fast
# weights made in one pass, by gradients through gradients, by a learned optimizer, with an own step.
REPRESENTATIVES = (
    "prototypical_network",
    "relation_network",
    "mann",
    "meta_network",
    "maml",
    "lstm_meta_learner",
    "reptile",
)


def params(quick=None):
    """The methods as parameters of a fixture, with their names for ids.

    `quick` names those that `make test` takes; all but the variants when None. `make test-all` takes every one.
    """
    quick = [method.name for method in METHODS if not method.variant] if quick is None else quick
    marks = {True: (), False: (pytest.mark.slow,)}
    return [pytest.param(method, marks=marks[method.name in quick], id=method.name) for method in METHODS]


def named(method):
    """The method of that name in the list, or the method itself."""
    return next(known for known in METHODS if method in (known, known.name))


def build(method, seed=0):
    """The model of a method (or of a method's name) with weights fixed by the seed, moved off their symmetric start."""
    keras.utils.set_random_seed(seed)
    model = named(method).build()
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.trainable or variable.path.endswith("moving_mean"):
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


def arrays(**options):
    """What a client sends of `episode(**options)`: support images, support labels and queries, as arrays."""
    x, _ = episode(**options)
    return x["support_x"].numpy(), x["support_y"].numpy(), x["query_x"].numpy()
