import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors
from tests.metric_based.vectors import SIZE, identity_backbone, reference_probabilities, vectors


def full_context_model(seed=0, **options):
    """With weights far from their start, so that every gate matters."""
    model = zoo.FullContextMatchingNetwork(identity_backbone(), **options)
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        variable.assign(rng.standard_normal(variable.shape))
    return model


# ---- the reference: one task, float64, rows one by one


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
    h = c = np.zeros_like(x)
    for _ in range(num_steps):
        a = np.exp(g @ h) / np.exp(g @ h).sum()
        h_hat, c = reference_lstm(model.attention_lstm, x, np.concatenate([h, a @ g]), c)
        h = h_hat + x
    return h


# ---- the model


def attend_only(model):
    """Weights with which g(x_i, S) = g'(x_i) and f(x, S) = f'(x) + tanh(tanh(r_0)) after one step."""
    size = model.backbone.output_shape[-1]
    for cell in (model.forward_lstm, model.backward_lstm, model.attention_lstm):
        cell.kernel.assign(tf.zeros_like(cell.kernel))
    kernel = np.zeros(model.attention_lstm.kernel.shape)
    kernel[2 * size :, 3 * size :] = np.eye(size)  # the candidate is r
    model.attention_lstm.kernel.assign(kernel)
    model.attention_lstm.bias.assign(np.repeat([50.0, 0.0, 50.0, 0.0], size))  # input and output gate open
    return model


def test_one_step_reads_the_mean_of_the_usable_support_rows():
    """Rows (.2, 0) and (.4, 0), and padding between them that would change the mean: r_0 = (.3, 0)."""
    model = attend_only(zoo.FullContextMatchingNetwork(identity_backbone(2), way=2, num_processing_steps=1))
    state = model.adapt(tf.constant([[[0.2, 0.0], [9.0, 9.0], [0.4, 0.0]]]), tf.constant([[0, -1, 1]], tf.int64))
    f = model.attend(tf.constant([[[1.0, -1.0]]]), state["keys"], state["labels"])
    np.testing.assert_allclose(f, [[[1 + np.tanh(np.tanh(0.3)), -1]]], rtol=1e-6)


@pytest.mark.parametrize("labels", [[-1, -1], [5, -1]])
def test_a_task_without_a_usable_row_reads_nothing(labels):
    """Beside another task, and whatever its rows hold: the read is 0 and all classes are as likely."""
    model = attend_only(zoo.FullContextMatchingNetwork(identity_backbone(2), way=2, num_processing_steps=1))
    support_x = tf.constant([[[9.0, 9.0], [7.0, 7.0]], [[0.2, 0.0], [0.4, 0.0]]])
    support_y = tf.constant([labels, [0, 1]], tf.int64)
    state = tf.function(model.adapt)(support_x, support_y)
    f = model.attend(tf.ones([2, 1, 2]), state["keys"], state["labels"])
    np.testing.assert_allclose(f, [[[1, 1]], [[1 + np.tanh(np.tanh(0.3)), 1]]], rtol=1e-6)
    logits = model.predict_with(state, tf.ones([2, 1, 2]))
    np.testing.assert_allclose(tf.nn.softmax(logits)[0], [[0.5, 0.5]], rtol=1e-6)


def test_one_step_depends_on_the_support_set():
    """Not only through the similarities of its end: f(x, S) itself changes."""
    model, x, other = full_context_model(num_processing_steps=1), vectors([0, 1, 2]), vectors([0, 1, 2], seed=1)
    answers = [
        model.attend(x["query_x"], state["keys"], state["labels"])
        for state in (model.adapt(task["support_x"], task["support_y"]) for task in (x, other))
    ]
    assert np.abs(answers[0] - answers[1]).max() > 0.01


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
        loss = model.compute_gradients(x, y)[0]
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


def test_a_projection_is_a_matrix_before_everything_else():
    """Of 3 numbers to 2: the answers of a model of 2 numbers to what the matrix makes of images."""
    model, small = full_context_model(projection_size=2), zoo.FullContextMatchingNetwork(identity_backbone(2))
    for name in ("forward_lstm", "backward_lstm", "attention_lstm"):
        getattr(small, name).set_weights(getattr(model, name).get_weights())
    x = vectors([0, 1, 2, 1])
    images = {name: x[name] @ model.projection.kernel if name.endswith("x") else x[name] for name in x}
    np.testing.assert_allclose(model(x), small(images), rtol=1e-5, atol=1e-5)
    copy = zoo.FullContextMatchingNetwork.from_config(model.get_config())
    assert [weight.shape for weight in copy.weights] == [weight.shape for weight in model.weights]
    large = zoo.FullContextMatchingNetwork(identity_backbone(1600), projection_size=64)
    assert sum(np.prod(weight.shape) for weight in large.weights) == 1600 * 64 + 28 * 64**2 + 3 * 4 * 64


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="`projection_size` must be an int of at least 1. Received: projection_size=0"):
        zoo.FullContextMatchingNetwork(identity_backbone(), projection_size=0)
    with pytest.raises(ValueError, match="`num_processing_steps` must be .* Received: num_processing_steps=0"):
        zoo.FullContextMatchingNetwork(identity_backbone(), num_processing_steps=0)
    maps = keras.Sequential([keras.Input(descriptors.IMAGE_SHAPE), keras.layers.Conv2D(2, 3)])
    with pytest.raises(ValueError, match="`backbone` must give embeddings"):
        zoo.FullContextMatchingNetwork(maps)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
