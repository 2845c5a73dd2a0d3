"""Every method on 84x84 colour images, where a Conv-4 gives 1,600 numbers: it builds, adapts, and its loss falls."""

import sys

import keras
import numpy as np
import pytest

import zoo
from tests import descriptors

SHAPE = (84, 84, 3)
FAMILIES = {
    "prototypical": lambda: zoo.PrototypicalNetwork(zoo.backbones.conv4(SHAPE)),
    "matching": lambda: zoo.MatchingNetwork(zoo.backbones.conv4(SHAPE)),
    "matching_euclidean": lambda: zoo.MatchingNetwork(zoo.backbones.conv4(SHAPE), similarity="squared_euclidean"),
    "full_context": lambda: zoo.FullContextMatchingNetwork(
        zoo.backbones.conv4(SHAPE, filters=8), num_processing_steps=2
    ),
    "siamese": lambda: zoo.SiameseNetwork(zoo.backbones.conv4(SHAPE)),
    "relation": lambda: zoo.RelationNetwork(zoo.backbones.relation_encoder(SHAPE, filters=16), way=3),
    "relation_valid": lambda: zoo.RelationNetwork(
        zoo.backbones.relation_encoder(SHAPE, filters=16), way=3, padding="valid"
    ),
    "maml": lambda: zoo.MAML(batch_conv4(), way=3, num_inner_steps=1, inner_learning_rate=0.01),
    "anil": lambda: zoo.ANIL(batch_conv4(), way=3, num_inner_steps=1, inner_learning_rate=0.01),
    "reptile": lambda: zoo.Reptile(batch_conv4(), way=3, num_inner_steps=3),
    "lstm_meta_learner": lambda: zoo.LSTMMetaLearner(
        zoo.backbones.conv4(SHAPE, filters=8, momentum=0.1), way=3, num_inner_steps=2
    ),
    "mann": lambda: zoo.MANN(zoo.backbones.conv4(SHAPE, filters=8), way=3),
    "meta_network": lambda: zoo.MetaNetwork(zoo.backbones.conv5(SHAPE, filters=8), way=3),
}


def batch_conv4():
    return zoo.backbones.conv4(SHAPE, filters=16, statistics="batch")


def params():
    quick = ("prototypical",)
    return [pytest.param(name, marks=() if name in quick else (pytest.mark.slow,)) for name in FAMILIES]


@pytest.mark.parametrize("name", params())
def test_the_loss_starts_where_it_can_fall_and_falls(name):
    """On one batch of images that are mostly noise. A guess has a loss of log 3; far above, the softmax is saturated."""
    keras.utils.set_random_seed(0)
    model = FAMILIES[name]()
    x, y = descriptors.episode(num_tasks=1, image_shape=SHAPE)
    rng = np.random.default_rng(1)
    x = {key: 0.1 * x[key] + 0.9 * rng.random(x[key].shape, np.float32) if "_x" in key else x[key] for key in x}
    optimizer = keras.optimizers.SGD(0.5) if name == "reptile" else keras.optimizers.Adam(1e-3)
    model.compile(optimizer=optimizer)
    losses = [float(model.train_on_batch(x, y, return_dict=True)["loss"]) for _ in range(8)]
    assert losses[0] < 2 * np.log(3) and losses[-1] < losses[0], losses
    state = model.adapt(x["support_x"], x["support_y"])
    logits = model.predict_with(state, x["query_x"])
    assert logits.shape == (1, 6, 3) and np.isfinite(logits).all()


def test_unscaled_distances_would_start_where_no_loss_falls():
    """What the default guards against: of 1,600 numbers, squared distances tell one class from the others by tens."""
    keras.utils.set_random_seed(0)
    backbone = zoo.backbones.conv4(SHAPE)
    x, y = descriptors.episode(num_tasks=1, image_shape=SHAPE)
    rng = np.random.default_rng(1)
    x = {key: 0.1 * x[key] + 0.9 * rng.random(x[key].shape, np.float32) if "_x" in key else x[key] for key in x}
    losses = [
        float(np.mean(model.task_loss(y, model.answer(**x, training=True))))
        for model in (zoo.PrototypicalNetwork(backbone, distance_scale=scale) for scale in (1.0, None))
    ]
    assert losses[0] > 10 and losses[1] < 2 * np.log(3), losses


def test_maps_and_vectors_are_not_exchanged():
    for method, backbone, message in (
        (
            zoo.PrototypicalNetwork,
            zoo.backbones.relation_encoder(SHAPE, filters=2),
            r"must give embeddings \[B, D\].*Flatten",
        ),
        (
            zoo.RelationNetwork,
            zoo.backbones.conv4(SHAPE, filters=2),
            r"must give maps \[B, h, w, C\], of known size. Received",
        ),
    ):
        with pytest.raises(ValueError, match=message) as error:
            method(backbone)
        assert "\n" not in str(error.value)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
