import itertools
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors


def linear_model(**options):
    """y = w x + b on one input, from 0."""
    inputs = keras.Input((1,))
    backbone = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    return zoo.Reptile(backbone, target_size=1, head_initializer="zeros", **options)


def softmax_gradient(x, labels, w, b):
    scores = np.exp(x @ w + b)
    residual = (scores / scores.sum(axis=1, keepdims=True) - np.eye(w.shape[1])[labels]) / len(x)
    return x.T @ residual, residual.sum(axis=0)


def classifier(**options):
    """Softmax regression on two inputs, and a task of six rows."""
    inputs = keras.Input((2,))
    backbone = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    model = zoo.Reptile(backbone, way=3, **options)
    rng = np.random.default_rng(0)
    return model, rng.standard_normal((6, 2)), np.array([2, 0, 1, 1, 0, 2])


def test_sgd_minibatches_against_a_numpy_reference():
    """Four steps of two rows over six: the fourth starts over with the first two."""
    model, x, labels = classifier(inner_optimizer="sgd", inner_learning_rate=0.5, num_inner_steps=4, inner_batch=2)
    w, b = (variable.numpy().astype(np.float64) for variable in model.network.trainable_variables)
    for rows in ([0, 1], [2, 3], [4, 5], [0, 1]):
        dw, db = softmax_gradient(x[rows], labels[rows], w, b)
        w, b = w - 0.5 * dw, b - 0.5 * db
    state = model.adapt(tf.constant(x[None], tf.float32), tf.constant(labels[None], tf.int64), training=True)
    np.testing.assert_allclose(state["head/kernel"][0], w, rtol=1e-5, atol=1e-6)
    queries = np.random.default_rng(1).standard_normal((4, 2))
    answers = model.predict_with(state, tf.constant(queries[None], tf.float32))[0]
    np.testing.assert_allclose(answers, queries @ w + b, rtol=1e-5, atol=1e-5)


def test_minibatches_at_inference_hold_the_classes_in_turn():
    """Three steps of three rows over six: one row of each class, the other of each class, and the first ones again."""
    options = dict(inner_optimizer="sgd", inner_learning_rate=0.5, num_inner_steps_test=3, inner_batch_test=3)
    model, x, labels = classifier(**options)
    state = model.adapt(tf.constant(x[None], tf.float32), tf.constant(labels[None], tf.int64))
    w_0, b_0 = (variable.numpy().astype(np.float64) for variable in model.network.trainable_variables)
    candidates = []
    for choice in itertools.product([0, 1], repeat=3):
        once = [np.flatnonzero(labels == n)[i] for n, i in enumerate(choice)]
        other = [np.flatnonzero(labels == n)[1 - i] for n, i in enumerate(choice)]
        w, b = w_0, b_0
        for rows in (once, other, once):
            dw, db = softmax_gradient(x[rows], labels[rows], w, b)
            w, b = w - 0.5 * dw, b - 0.5 * db
        candidates.append(w)
    errors = sorted(np.abs(w - state["head/kernel"][0]).max() for w in candidates)
    assert errors[0] < 1e-6 and errors[1] > 1e-3


def permuted(arrays, seed):
    """The same rows in another order, with padding among them: labels -1, and images that nobody should look at."""
    order = np.random.default_rng(seed).permutation(len(arrays[1]))
    x, y = (values[order] for values in arrays)
    places = [0, 2, 2, len(y)]
    return np.insert(x, places, 9.0, axis=0), np.insert(y, places, -1, axis=0)


@pytest.mark.parametrize("inner_optimizer", ["adam", "sgd"])
def test_the_answer_does_not_depend_on_the_order_of_the_rows_nor_on_padding(inner_optimizer):
    """Class by class, as clients send them, or mixed; with minibatches that the rows do not fill."""
    model, x, labels = classifier(
        inner_optimizer=inner_optimizer, inner_learning_rate=0.1, num_inner_steps_test=5, inner_batch_test=4
    )
    by_class = np.argsort(labels, kind="stable")
    arrays = x[by_class].astype(np.float32), labels[by_class]
    expected = model.adapt(tf.constant(arrays[0][None]), tf.constant(arrays[1][None]))
    for seed in range(4):
        x, y = permuted(arrays, seed)
        for name, value in model.adapt(tf.constant(x[None]), tf.constant(y[None])).items():
            if not name.startswith("support"):
                np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_all_rows_of_a_task_may_be_one_minibatch():
    """However many it has: padding is not among them."""
    options = dict(inner_optimizer="sgd", inner_learning_rate=0.1, num_inner_steps_test=2)
    model, x, labels = classifier(**options, inner_batch_test=None)
    six, _, _ = classifier(**options, inner_batch_test=6)
    six.set_weights(model.get_weights())
    expected = six.adapt(tf.constant(x[None], tf.float32), tf.constant(labels[None]))["head/kernel"]
    x, labels = permuted((x, labels), seed=0)
    state = model.adapt(tf.constant(x[None], tf.float32), tf.constant(labels[None]))
    np.testing.assert_allclose(state["head/kernel"], expected, rtol=1e-5, atol=1e-6)
    assert zoo.Reptile.from_config(model.get_config()).inner_batch_test is None


def test_the_answer_of_regression_does_not_depend_on_the_order_of_the_points():
    """Also where one input has two targets."""
    options = dict(inner_optimizer="sgd", inner_learning_rate=0.1, num_inner_steps_test=3, inner_batch_test=2)
    x = np.array([0.1, 0.2, 0.3, 0.3, 0.5], np.float32)[None, :, None]
    y = np.array([1.0, 2.0, 3.0, -3.0, 5.0], np.float32)[None, :, None]
    model = linear_model(**options)
    expected = model.adapt(tf.constant(x), tf.constant(y))["head/kernel"]
    for order in ([4, 3, 2, 1, 0], [2, 0, 3, 4, 1]):
        np.testing.assert_allclose(
            model.adapt(tf.constant(x[:, order]), tf.constant(y[:, order]))["head/kernel"], expected, rtol=1e-6
        )


def adam_reference(x, labels, w, b, batches, moments, num_updates, rate):
    for rows in batches:
        num_updates += 1
        gradients = softmax_gradient(x[rows], labels[rows], w, b)
        moments = [0.999 * m + 0.001 * g**2 for m, g in zip(moments, gradients)]
        steps = [g / (np.sqrt(m / (1 - 0.999**num_updates)) + 1e-8) for m, g in zip(moments, gradients)]
        w, b = w - rate * steps[0], b - rate * steps[1]
    return w, b, moments


def test_adam_keeps_its_second_moments_between_tasks_in_training_and_not_in_inference():
    options = dict(
        inner_learning_rate=0.01, num_inner_steps=3, num_inner_steps_test=2, inner_batch=2, inner_batch_test=6
    )
    model, x, labels = classifier(**options)
    w, b = (variable.numpy().astype(np.float64) for variable in model.network.trainable_variables)
    batch = {"support_x": tf.constant(x[None], tf.float32), "support_y": tf.constant(labels[None], tf.int64)}
    batch["query_x"] = batch["support_x"][:, :3]
    zeros = [np.zeros_like(w), np.zeros_like(b)]
    thirds = ([0, 1], [2, 3], [4, 5])
    first = adam_reference(x, labels, w, b, thirds, zeros, 0, 0.01)
    second = adam_reference(x, labels, w, b, thirds, first[2], 3, 0.01)
    for expected in (first, second):
        _, _, gradients = model.compute_gradients(batch, batch["support_y"][:, :3])
        np.testing.assert_allclose(gradients[0], w - expected[0], rtol=1e-3, atol=1e-7)
    everything = [range(6)] * 2
    expected = adam_reference(x, labels, w, b, everything, second[2], 6, 0.01)
    for _ in range(2):  # inference leaves the moments as they were
        state = model.adapt(batch["support_x"], batch["support_y"])
        np.testing.assert_allclose(state["head/kernel"][0], expected[0], rtol=1e-4, atol=1e-6)


def test_outer_step_is_the_interpolation():
    """theta + epsilon mean (phi_i - theta), with both tasks' phi from adapt."""
    options = dict(inner_optimizer="sgd", inner_learning_rate=0.1, num_inner_steps=2, num_inner_steps_test=2)
    model = linear_model(inner_batch=2, inner_batch_test=2, **options)
    x = {
        "support_x": tf.constant([[[1.0], [2.0]], [[3.0], [1.0]]]),
        "support_y": tf.constant([[[1.0], [1.0]], [[2.0], [0.0]]]),
    }
    x["query_x"] = x["support_x"]
    phi = model.adapt(x["support_x"], x["support_y"])["head/kernel"].numpy()
    before = model.network.trainable_variables[0].numpy()
    model.compile(optimizer=keras.optimizers.SGD(0.25))
    model.train_on_batch(x, x["support_y"])
    after = model.network.trainable_variables[0].numpy()
    np.testing.assert_allclose(after, before + 0.25 * (phi.mean(axis=0) - before), rtol=1e-6)


def conv_model(**options):
    keras.utils.set_random_seed(0)
    backbone = zoo.backbones.strided_conv4(descriptors.IMAGE_SHAPE, filters=4, scale=True, pooling="flatten")
    options = {"num_inner_steps_test": 3, "inner_learning_rate": 0.02, **options}
    return zoo.Reptile(backbone, way=3, **options)


def test_one_checkpoint_two_evaluations():
    """A query alone is the same to both only where the other queries are the support set."""
    model = conv_model()
    transductive = zoo.Reptile.from_config({**model.get_config(), "evaluation": "transductive"})
    transductive.set_weights(model.get_weights())
    assert (model.transductive, transductive.transductive) == (False, True)
    x, _ = descriptors.episode(query=1)
    state = transductive.adapt(x["support_x"], x["support_y"])
    for query in range(3):
        one = x["query_x"][:, query : query + 1]
        with_support = tf.concat([x["support_x"], one], axis=1)
        expected = transductive.predict_with(state, with_support)[:, -1:]
        np.testing.assert_allclose(model({**x, "query_x": one}), expected, rtol=1e-4, atol=1e-5)
    assert np.abs(model(x) - transductive(x)).max() > 1e-2


def test_norm_weights_adapt_too():
    """gamma and beta are part of what the inner loop trains, unlike in MAML's code."""
    model = conv_model()
    x, _ = descriptors.episode()
    state, start = model.adapt(x["support_x"], x["support_y"]), model.initial_weights()
    norms = [path for path in start if "norm" in path]
    assert len(norms) == 8
    assert all(np.abs(state[path] - start[path][None]).max() > 1e-4 for path in norms)


def test_presets_carry_the_moments(tmp_path):
    from zoo.presets import writer

    model = conv_model()
    x, y = descriptors.episode(num_tasks=2)
    model.compile(optimizer=keras.optimizers.SGD(1.0))
    model.fit(x, y, epochs=2, verbose=0)
    writer.save_preset_config(model, tmp_path, {})
    writer.save_preset_weights(model, tmp_path)
    again = zoo.from_preset(tmp_path, evaluation="transductive")
    moments = [v for v in again.non_trainable_variables if "moment" in v.path]
    assert moments and all(v.numpy().max() > 0 for v in moments)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"inner_optimizer": "rmsprop"}, "`inner_optimizer` must be one of .* Received: inner_optimizer='rmsprop'"),
        ({"evaluation": "running"}, "`evaluation` must be one of"),
        ({"inner_batch": 0}, "`inner_batch` must be an int of at least 1. Received: inner_batch=0"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        conv_model(**options)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
