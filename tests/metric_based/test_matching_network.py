import sys

import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors
from tests.metric_based.vectors import identity_backbone, reference_probabilities, vectors
from zoo.metric_based.matching_network import SIMILARITIES


def test_one_query_by_hand():
    """Keys (2, 0), (0, 3) and (0, 1) of classes 0, 1, 1: the query (1, 0) has c = 1, 0 and 0."""
    x = {
        "support_x": tf.constant([[[2.0, 0.0], [0.0, 3.0], [0.0, 1.0]]]),
        "support_y": tf.constant([[0, 1, 1]], tf.int64),
        "query_x": tf.constant([[[1.0, 0.0]]]),
    }
    logits = zoo.MatchingNetwork(identity_backbone(2))(x)
    np.testing.assert_allclose(np.exp(logits), [[[np.e / (np.e + 2), 2 / (np.e + 2)]]], rtol=1e-6)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_log_probabilities_against_a_numpy_reference(similarity):
    labels = [2, 0, 1, 0, 2, 2]
    x = vectors(labels)
    logits = zoo.MatchingNetwork(identity_backbone(), similarity=similarity)(x)
    f, g = (x[name][0].numpy().astype(np.float64) for name in ("query_x", "support_x"))
    expected = np.log(reference_probabilities(f, g, labels, 3, similarity))
    np.testing.assert_allclose(logits[0], expected, rtol=1e-5, atol=1e-6)


def test_loss_is_the_negative_log_probability():
    x, y = vectors([0, 1, 1]), tf.constant([[1, 0, -1, 1]], tf.int64)
    model = zoo.MatchingNetwork(identity_backbone(), way=2)
    loss, logits, _ = model.compute_gradients(x, y)
    np.testing.assert_allclose(loss, -(logits[0, 0, 1] + logits[0, 1, 0] + logits[0, 3, 1]) / 3, rtol=1e-6)


def test_a_plain_cosine_cannot_be_sure():
    """Five support images at right angles, the query on one of them: e / (e + 4) and no more."""
    x = {
        "support_x": tf.eye(5)[None],
        "support_y": tf.range(5, dtype=tf.int64)[None],
        "query_x": 100 * tf.eye(5)[None, :1],
    }
    highest = {
        name: float(tf.reduce_max(tf.nn.softmax(zoo.MatchingNetwork(identity_backbone(5), similarity=name)(x))))
        for name in SIMILARITIES
    }
    np.testing.assert_allclose(highest["cosine"], np.e / (np.e + 4), rtol=1e-6)
    assert min(value for name, value in highest.items() if name != "cosine") > 0.99


def test_large_embeddings_are_compared_on_the_scale_of_small_ones():
    """c of 256 numbers: an eighth of -|f - g|^2, half of <f, g> / |g|, and the cosines as they are; or what is asked for."""
    rng = np.random.default_rng(0)
    f, g = (tf.constant(rng.standard_normal((1, rows, 256)), tf.float32) for rows in (2, 3))
    for name, factor in zip(SIMILARITIES, (1, 10, 0.5, 0.125)):
        small, large = (zoo.MatchingNetwork(identity_backbone(256), similarity=name, size_scale=s) for s in (1.0, None))
        unscaled = small._similarities(f, g) / (10 if name == "scaled_cosine" else 1)
        np.testing.assert_allclose(large._similarities(f, g), factor * unscaled, rtol=1e-5, err_msg=name)
    assert zoo.MatchingNetwork.from_config(small.get_config()).size_scale == 1.0
    with pytest.raises(ValueError, match="`size_scale` must be a number above 0. Received: size_scale=0"):
        zoo.MatchingNetwork(identity_backbone(), size_scale=0)


def test_only_the_support_is_normalized():
    x = vectors([0, 1, 2])
    model = zoo.MatchingNetwork(identity_backbone())
    expected = model(x)
    np.testing.assert_allclose(model({**x, "support_x": 7 * x["support_x"]}), expected, rtol=1e-4, atol=1e-5)
    assert np.abs(model({**x, "query_x": 7 * x["query_x"]}) - expected).max() > 0.1


def test_log_probability_and_gradient_survive_attention_that_underflows():
    """exp(-1000) is 0 in float32; its logarithm is not needed."""
    model = zoo.MatchingNetwork(identity_backbone(1), similarity="squared_euclidean")
    query = tf.constant([[[1000.0**0.5]]])
    x = {"support_x": tf.constant([[[0.0], [1000.0**0.5]]]), "support_y": tf.constant([[0, 1]], tf.int64)}
    with tf.GradientTape() as tape:
        tape.watch(query)
        logits = model({**x, "query_x": query})
        loss = tf.reduce_sum(model.task_loss(tf.constant([[0]], tf.int64), logits))
    np.testing.assert_allclose(logits, [[[-1000, 0]]], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(tape.gradient(loss, query), [[[2 * 1000**0.5]]], rtol=1e-5)


def test_the_gradient_reaches_support_and_queries():
    x = vectors([0, 1, 1])
    for similarity in SIMILARITIES:
        model = zoo.MatchingNetwork(identity_backbone(), similarity=similarity, way=2)
        with tf.GradientTape() as tape:
            tape.watch([x["support_x"], x["query_x"]])
            loss = model.compute_gradients(x, tf.constant([[0, 1, 1, 0]], tf.int64))[0]
        for gradient in tape.gradient(loss, [x["support_x"], x["query_x"]]):
            assert (np.abs(gradient).max(axis=-1) > 0).all(), similarity


@pytest.mark.parametrize("cls", [zoo.MatchingNetwork, zoo.FullContextMatchingNetwork])
def test_a_model_answers_other_ways_and_shots_than_it_was_trained_with(cls):
    model = cls(zoo.backbones.conv4(descriptors.IMAGE_SHAPE, filters=4))
    for way, shot in ((2, 1), (7, 3)):
        x, y = descriptors.episode(way=way, shot=shot)
        np.testing.assert_allclose(tf.reduce_sum(tf.exp(model(x)), axis=-1), np.ones([2, y.shape[1]]), rtol=1e-5)
        assert model(x).shape == (2, y.shape[1], way)


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="`similarity` must be one of .* Received: similarity='dot'"):
        zoo.MatchingNetwork(identity_backbone(), similarity="dot")
    with pytest.raises(ValueError, match="`scale` must be a number above 0. Received: scale=0"):
        zoo.MatchingNetwork(identity_backbone(), similarity="scaled_cosine", scale=0)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
