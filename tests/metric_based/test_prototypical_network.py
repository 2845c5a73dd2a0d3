import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors


def identity_model(way=None, **options):
    inputs = keras.Input((2,))
    return zoo.PrototypicalNetwork(keras.Model(inputs, keras.layers.Activation("linear")(inputs)), way=way, **options)


def test_prototypes_and_logits_by_hand():
    support_x = tf.constant([[[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]]])
    state = identity_model().adapt(support_x, tf.constant([[0, 0, 1]], tf.int64))
    np.testing.assert_allclose(state["prototypes"], [[[1, 0], [0, 4]]])
    logits = identity_model().predict_with(state, tf.constant([[[1.0, 1.0]]]))
    np.testing.assert_allclose(logits, [[[-1, -10]]], rtol=1e-6)  # squared distances 0 + 1 and 1 + 9


def test_cosine_by_hand():
    """Prototypes (1, 0), and (0, 4) of (0, 3) and (0, 5): the query (3, 4) has cosines .6 and .8."""
    model = identity_model(distance="cosine")
    state = model.adapt(tf.constant([[[1.0, 0.0], [0.0, 3.0], [0.0, 5.0]]]), tf.constant([[0, 1, 1]], tf.int64))
    np.testing.assert_allclose(model.predict_with(state, tf.constant([[[3.0, 4.0]]])), [[[-0.4, -0.2]]], rtol=1e-6)
    assert zoo.PrototypicalNetwork.from_config(model.get_config()).distance == "cosine"
    with pytest.raises(ValueError, match="`distance` must be one of .* Received: distance='l1'"):
        identity_model(distance="l1")


def test_distances_are_scaled_by_the_size_of_the_embeddings():
    """Of 64 numbers not at all, of 1,600 by 0.008; a number or a learned factor in its place."""
    scales = {size: zoo.PrototypicalNetwork(vectors_backbone(size)).scale() for size in (2, 64, 256, 1600)}
    assert scales == {2: 1.0, 64: 1.0, 256: 0.125, 1600: pytest.approx(0.008)}
    assert zoo.PrototypicalNetwork(vectors_backbone(1600), distance="cosine").scale() == 1.0
    x = {
        "support_x": tf.constant([[[0.0, 0.0], [0.0, 4.0]]]),
        "support_y": tf.constant([[0, 1]], tf.int64),
        "query_x": tf.constant([[[1.0, 1.0]]]),
    }
    np.testing.assert_allclose(identity_model(distance_scale=0.5)(x), [[[-1, -5]]])  # distances 2 and 10
    learned = identity_model(distance_scale="learned")
    np.testing.assert_allclose(learned(x), [[[-2, -10]]])
    learned.log_scale.assign(np.log(0.25))
    np.testing.assert_allclose(learned(x), [[[-0.5, -2.5]]], rtol=1e-6)
    assert [weight.name for weight in learned.trainable_weights] == ["log_distance_scale"]
    _, _, (slope,) = learned.compute_gradients(x, tf.constant([[1]], tf.int64))
    # loss = log(1 + e^(8 s)), and its slope by log s is 8 s e^(8 s) / (1 + e^(8 s))
    np.testing.assert_allclose(slope, 2 * np.exp(2) / (1 + np.exp(2)), rtol=1e-5)
    assert zoo.PrototypicalNetwork.from_config(learned.get_config()).distance_scale == "learned"
    for wrong in (0, -1.0, "half", True):
        with pytest.raises(ValueError, match="`distance_scale` must be a number"):
            identity_model(distance_scale=wrong)


def vectors_backbone(size):
    inputs = keras.Input((size,))
    return keras.Model(inputs, keras.layers.Activation("linear")(inputs))


def test_embeddings_of_length_1000_keep_the_digits_of_their_logits():
    rng = np.random.default_rng(0)
    rows = (1000 / 2**0.5 + rng.standard_normal((2, 3, 2))).astype(np.float32)
    model = identity_model()
    state = model.adapt(tf.constant(rows[:1]), tf.constant([[0, 1, 2]], tf.int64))
    expected = -((rows[1][:, None].astype(np.float64) - rows[0][None]) ** 2).sum(axis=-1)
    np.testing.assert_allclose(model.predict_with(state, tf.constant(rows[1:]))[0], expected, rtol=1e-5)


def test_loss_against_a_numpy_reference():
    """Equations 1 and 2 in float64, from the model's own embeddings."""
    model = descriptors.build("prototypical_network")
    x, y = descriptors.episode(num_tasks=2, shot=3, query=4)
    embed = lambda images: model.embed(images).numpy().astype(np.float64)  # noqa: E731
    support, queries, labels = embed(x["support_x"]), embed(x["query_x"]), x["support_y"].numpy()
    expected = []
    for task in range(2):
        c = np.stack([support[task][labels[task] == n].mean(axis=0) for n in range(3)])
        d = ((queries[task][:, None] - c[None]) ** 2).sum(axis=-1)
        log_p = -d - np.log(np.exp(-d).sum(axis=-1, keepdims=True))
        expected.append(-log_p[np.arange(len(d)), y.numpy()[task]].mean())
    logits = model(x)
    loss = tf.reduce_mean(model.task_objective(y, logits))
    np.testing.assert_allclose(loss, np.mean(expected), rtol=1e-5)
    assert logits.shape == (2, 12, 3)


def test_a_model_answers_other_ways_than_it_was_trained_with():
    model = zoo.PrototypicalNetwork(zoo.backbones.conv4(descriptors.IMAGE_SHAPE, filters=4))
    for way in (2, 7):
        x, y = descriptors.episode(way=way)
        assert model(x).shape == (2, y.shape[1], way)


def test_tasks_of_different_way_share_a_batch():
    """The padded class of the smaller task gets no probability, and its queries no loss."""
    model = identity_model()
    x = {
        "support_x": tf.constant([[[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]], [[0.0, 0.0], [4.0, 0.0], [0.0, 0.0]]]),
        "support_y": tf.constant([[0, 1, 2], [0, 1, -1]], tf.int64),
        "query_x": tf.constant([[[0.0, 3.0]], [[0.0, 3.0]]]),
    }
    answers = tf.nn.softmax(model(x)).numpy()
    assert answers[0, 0].argmax() == 2 and answers[1, 0, 2] == 0 and answers[1, 0].argmax() == 0


def test_training_normalizes_support_and_queries_in_one_batch():
    """As the paper's code does: the moving mean moves once, to the mean over all images."""
    model = zoo.PrototypicalNetwork(zoo.backbones.mlp((2,), hidden_sizes=(2,), batch_norm=True, statistics="running"))
    model.backbone.get_layer("dense_1").kernel.assign(np.eye(2))
    x = {
        "support_x": tf.constant([[[1.0, 0.0], [3.0, 0.0]]]),
        "support_y": tf.constant([[0, 1]], tf.int64),
        "query_x": tf.constant([[[5.0, 0.0], [7.0, 0.0]]]),
    }
    model(x, training=True)
    np.testing.assert_allclose(model.backbone.get_layer("norm_1").moving_mean, [0.4, 0.0], rtol=1e-6)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
