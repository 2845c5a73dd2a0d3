import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors
from zoo.metric_based.matching_network import SIMILARITIES

SIZE = 3


def identity_backbone(size=SIZE):
    inputs = keras.Input((size,))
    return keras.Model(inputs, keras.layers.Activation("linear")(inputs))


def full_context_model(seed=0, **options):
    """With weights far from their start, so that every gate matters."""
    model = zoo.FullContextMatchingNetwork(identity_backbone(), **options)
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        variable.assign(rng.standard_normal(variable.shape))
    return model


def vectors(labels, num_queries=4, size=SIZE, seed=0):
    """Inputs of one task whose support rows have these labels."""
    rng = np.random.default_rng(seed)
    return {
        "support_x": tf.constant(rng.standard_normal((1, len(labels), size)), tf.float32),
        "support_y": tf.constant([labels], tf.int64),
        "query_x": tf.constant(rng.standard_normal((1, num_queries, size)), tf.float32),
    }


# ---- the reference: one task, float64, rows one by one


def reference_similarity(f, g, similarity, scale=10.0):
    if similarity == "squared_euclidean":
        return -sum((f - g) ** 2)
    norms = {"support_normalized": np.linalg.norm(g)}.get(similarity, np.linalg.norm(g) * np.linalg.norm(f))
    return f @ g / norms * (scale if similarity == "scaled_cosine" else 1)


def reference_probabilities(f, g, labels, way, similarity="support_normalized"):
    answers = np.zeros((len(f), way))
    for query, answer in zip(f, answers):
        exponentials = np.exp([reference_similarity(query, row, similarity) for row in g])
        for label, a in zip(labels, exponentials / exponentials.sum()):
            answer[label] += a
    return answers


def reference_lstm(cell, x, recurrent, c):
    weights, bias = cell.kernel.numpy().astype(np.float64), cell.bias.numpy().astype(np.float64)
    i, f, o, u = np.split(np.concatenate([x, recurrent]) @ weights + bias, 4)
    sigmoid = lambda value: 1 / (1 + np.exp(-value))  # noqa: E731
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(u)
    return sigmoid(o) * np.tanh(c), c


def reference_support(model, rows):
    """g(x_i, S) of rows without padding."""
    g = rows.copy()
    for cell, order in ((model.forward_lstm, range(len(rows))), (model.backward_lstm, reversed(range(len(rows))))):
        h = c = np.zeros(rows.shape[1])
        for i in order:
            h, c = reference_lstm(cell, rows[i], h, c)
            g[i] += h
    return g


def reference_query(model, x, g, num_steps):
    """f(x, S) of one query."""
    h = r = c = np.zeros_like(x)
    for _ in range(num_steps):
        h_hat, c = reference_lstm(model.attention_lstm, x, np.concatenate([h, r]), c)
        h = h_hat + x
        a = np.exp(g @ h) / np.exp(g @ h).sum()
        r = a @ g
    return h


# ---- without context


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
    loss, logits = model.compute_episode_loss(x, y)
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
            loss, _ = model.compute_episode_loss(x, tf.constant([[0, 1, 1, 0]], tf.int64))
        for gradient in tape.gradient(loss, [x["support_x"], x["query_x"]]):
            assert (np.abs(gradient).max(axis=-1) > 0).all(), similarity


@pytest.mark.parametrize("cls", [zoo.MatchingNetwork, zoo.FullContextMatchingNetwork])
def test_a_model_answers_other_ways_and_shots_than_it_was_trained_with(cls):
    model = cls(zoo.backbones.conv4(descriptors.IMAGE_SHAPE, filters=4))
    for way, shot in ((2, 1), (7, 3)):
        x, y = descriptors.episode(way=way, shot=shot)
        np.testing.assert_allclose(tf.reduce_sum(tf.exp(model(x)), axis=-1), np.ones([2, y.shape[1]]), rtol=1e-5)
        assert model(x).shape == (2, y.shape[1], way)


# ---- full-context embeddings


@pytest.mark.parametrize("num_steps", [1, 2, 4])
def test_full_context_against_a_numpy_reference(num_steps):
    labels = [1, 0, 2, 0, 1]
    model, x = full_context_model(num_processing_steps=num_steps), vectors(labels)
    f_prime, g_prime = (x[name][0].numpy().astype(np.float64) for name in ("query_x", "support_x"))
    g = reference_support(model, g_prime)
    f = np.stack([reference_query(model, row, g, num_steps) for row in f_prime])
    np.testing.assert_allclose(model.adapt(x["support_x"], x["support_y"])["keys"][0], g, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model(x)[0], np.log(reference_probabilities(f, g, labels, 3)), rtol=1e-5, atol=1e-5)


def test_full_context_passes_over_padding_anywhere():
    """Also between two rows, with other values in the padding, and in a batch whose tasks have other lengths."""
    x, model = vectors([1, 0, 2], seed=4), full_context_model(num_processing_steps=3)
    order = [3, 0, 4, 1, 2, 3]
    noise = 9 * tf.ones([1, 2, SIZE])
    padded = {
        "support_x": tf.gather(tf.concat([x["support_x"], noise], axis=1), order, axis=1),
        "support_y": tf.constant([[-1, 1, -1, 0, 2, -1]], tf.int64),
        "query_x": x["query_x"],
    }
    other = vectors([0, 1, 0, 1, 2, 2], seed=5)
    both = tf.nest.map_structure(lambda one, two: tf.concat([one, two], axis=0), padded, other)
    np.testing.assert_allclose(model(both), tf.concat([model(x), model(other)], axis=0), rtol=1e-5, atol=1e-5)


def test_padding_gets_no_gradient():
    x, y = vectors([1, -1, 0, -1]), tf.constant([[0, 1, 1, 0]], tf.int64)
    model = full_context_model(way=2)
    with tf.GradientTape() as tape:
        tape.watch(x["support_x"])
        loss, _ = model.compute_episode_loss(x, y)
    gradient = np.abs(tape.gradient(loss, x["support_x"])[0]).max(axis=-1)
    assert (gradient[[1, 3]] == 0).all() and (gradient[[0, 2]] > 0).all()


def test_only_full_context_depends_on_the_order_of_the_support():
    x = vectors([0, 1, 2])
    turned = {**x, "support_x": x["support_x"][:, ::-1], "support_y": x["support_y"][:, ::-1]}
    simple = zoo.MatchingNetwork(identity_backbone())
    np.testing.assert_allclose(simple(turned), simple(x), rtol=1e-5)
    model = full_context_model()
    assert np.abs(model(turned) - model(x)).max() > 1e-2


def test_adaptation_takes_any_number_of_rows_in_a_graph():
    """As it is served: tasks and rows unknown, embeddings and classes known."""
    model, x = full_context_model(way=3), vectors([0, 1, 2, 1])
    specs = tf.TensorSpec([None, None, SIZE], tf.float32), tf.TensorSpec([None, None], tf.int64)
    adapt = tf.function(model.adapt, autograph=False).get_concrete_function(*specs)
    shapes = {name: tuple(value.shape) for name, value in adapt.structured_outputs.items()}
    assert shapes == {"keys": (None, None, SIZE), "labels": (None, None, 3), "class_counts": (None, 3)}
    expected = model.adapt(x["support_x"], x["support_y"])["keys"]
    np.testing.assert_allclose(adapt(x["support_x"], x["support_y"])["keys"], expected, rtol=1e-5)


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="`similarity` must be one of .* Received: similarity='dot'"):
        zoo.MatchingNetwork(identity_backbone(), similarity="dot")
    with pytest.raises(ValueError, match="`scale` must be above 0. Received: scale=0"):
        zoo.MatchingNetwork(identity_backbone(), similarity="scaled_cosine", scale=0)
    with pytest.raises(ValueError, match="`num_processing_steps` must be .* Received: num_processing_steps=0"):
        zoo.FullContextMatchingNetwork(identity_backbone(), num_processing_steps=0)
    maps = keras.Sequential([keras.Input(descriptors.IMAGE_SHAPE), keras.layers.Conv2D(2, 3)])
    with pytest.raises(ValueError, match="`backbone` must give embeddings"):
        zoo.FullContextMatchingNetwork(maps)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
