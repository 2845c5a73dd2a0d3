"""Methods that adapt by gradients give the same numbers whether tasks are taken one after the other or all at once."""

import logging
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors
from zoo.core import convolution, image_block, task_loop

SHAPE, WAY = (8, 8, 1), 2
TOLERANCE = {"float64": 1e-8, "float32": 1e-4}
_STEPS = dict(num_inner_steps=1, num_inner_steps_test=2)
QUICK = ("maml", "float64")  # seconds each: TensorFlow traces every function, and then its batched form


def backbone(statistics="batch", dropout=0.0):
    """The zoo's block, a plain convolution of Keras with its bias, a max-pool, BatchNorm and Dropout."""
    inputs = keras.Input(SHAPE)
    h = image_block.ImageBlock(3, pool_size=2, statistics=statistics, momentum=0.5)(inputs)
    h = keras.layers.Conv2D(3, (3, 2), padding="same", activation="elu")(h)
    h = zoo.BatchNorm(statistics=statistics, momentum=0.5)(keras.layers.MaxPool2D(2)(h))
    return keras.Model(inputs, keras.layers.Flatten()(keras.layers.Dropout(dropout, seed=1)(h)))


def chain():
    """What Meta Networks take."""
    inputs = keras.Input(SHAPE)
    h = keras.layers.Conv2D(3, 3, padding="same", use_bias=False)(inputs)
    h = keras.layers.MaxPool2D(4)(keras.layers.ReLU()(h))
    return keras.Model(inputs, keras.layers.Flatten()(h))


def _like_maml(method, rate=0.3, dropout=0.0, **options):
    body = dict(way=WAY, inner_learning_rate=rate, padded_support=True, **{**_STEPS, **options})
    return lambda: method(backbone(dropout=dropout), **body)


METHODS = {
    "maml": _like_maml(zoo.MAML, adapt_norm=True, inner_optimizer="momentum"),
    "fomaml": _like_maml(zoo.FOMAML, dropout=0.3, num_inner_steps=2),
    "anil": _like_maml(zoo.ANIL, dropout=0.3),
    "meta_sgd": _like_maml(zoo.MetaSGD, rate=(0.1, 0.3)),
    "reptile": lambda: zoo.Reptile(
        backbone(),
        WAY,
        num_inner_steps=2,
        num_inner_steps_test=2,
        inner_batch=3,
        inner_batch_test=None,
        inner_optimizer="sgd",
        inner_learning_rate=0.3,
    ),
    "lstm_meta_learner": lambda: zoo.LSTMMetaLearner(backbone("running"), WAY, num_inner_steps=2, hidden_size=3),
    "meta_network": lambda: zoo.MetaNetwork(chain(), WAY, num_chunks=2, hidden_units=4, initializer="glorot_uniform"),
}


def episodes(dtype):
    """Three tasks with padded queries: the second has padded support rows in between, the third has no other ones."""
    x, y = descriptors.episode(num_tasks=3, way=WAY, image_shape=SHAPE)
    support_y = x["support_y"].numpy()
    support_y[1, 1:3], support_y[2] = -1, -1
    images = {name: tf.cast(x[name], dtype) for name in ("support_x", "query_x")}
    return {**images, "support_y": tf.constant(support_y)}, tf.concat([y[:, :-1], -tf.ones_like(y[:, :1])], axis=1)


def results(model, x, y, loop):
    """Loss, training outputs and gradients of a step, and what is answered at inference; the variables stay what they were."""
    before = [variable.numpy() for variable in model.variables]
    with task_loop.task_loop(loop):
        step = tf.function(lambda: (model.compute_gradients(x, y), model.answer(**x)), autograph=False)
        (loss, outputs, gradients), answers = step()
    after = [tf.convert_to_tensor(variable) for variable in model.variables]
    for variable, value in zip(model.variables, before):
        variable.assign(value)
    return {"loss": loss, "outputs": outputs, "answers": answers, "gradients": gradients, "variables": after}


def assert_same(received, expected, tolerance):
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max())),
        received,
        expected,
    )


@pytest.fixture
def dtype(request):
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


_SWEEP = [
    pytest.param(name, dtype, id=f"{name}-{dtype}", marks=[pytest.mark.slow] * ((name, dtype) != QUICK))
    for name in METHODS
    for dtype in TOLERANCE
]


@pytest.mark.parametrize("name, dtype", _SWEEP, indirect=["dtype"])
def test_both_loops_give_the_same_step_and_the_same_answers(name, dtype):
    keras.utils.set_random_seed(0)
    model = METHODS[name]()
    x, y = episodes(dtype)
    one_by_one, at_once = (results(model, x, y, loop) for loop in ("map", "batched"))
    assert any(np.abs(gradient).max() > 1e-3 for gradient in one_by_one["gradients"])
    assert_same(at_once, one_by_one, TOLERANCE[dtype])


@pytest.mark.slow
def test_fit_ends_with_the_same_weights():
    """Three tasks in batches of two: their number is unknown when the step is traced, and then 2 and 1."""
    weights = []
    x, y = descriptors.episode(num_tasks=3, way=WAY, image_shape=SHAPE)
    for loop in ("map", "batched"):
        keras.utils.set_random_seed(0)
        model = zoo.ANIL(backbone(), WAY, num_inner_steps=1, inner_learning_rate=0.3)
        model.compile(keras.optimizers.SGD(0.1))
        with task_loop.task_loop(loop):
            model.fit(x, y, batch_size=2, epochs=2, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    assert_same(weights[1], weights[0], 1e-4)


@pytest.mark.slow
def test_replicas_draw_and_learn_the_same(mirrored, monkeypatch):
    """Two of them, two tasks each, with Dropout. They are threads, which know of no context: the process chooses."""
    weights, traced = [], []
    vectorized_map = tf.vectorized_map
    monkeypatch.setattr(
        tf, "vectorized_map", lambda *args, **options: traced.append(loop) or vectorized_map(*args, **options)
    )
    x, y = descriptors.episode(num_tasks=4, way=WAY, image_shape=SHAPE)
    for loop in ("map", "batched"):
        with mirrored.scope():
            keras.utils.set_random_seed(0)
            model = zoo.ANIL(backbone(dropout=0.3), WAY, num_inner_steps=1, inner_learning_rate=0.3)
            model.compile(keras.optimizers.SGD(0.1))
            model.optimizer.build(model.trainable_variables)
        task_loop.set_task_loop(loop)
        try:
            model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        finally:
            task_loop.set_task_loop("auto")
        weights.append(model.get_weights())
    assert set(traced) == {"batched"}
    assert_same(weights[1], weights[0], 1e-4)


def loss(model, x, y, loop):
    with task_loop.task_loop(loop):
        return tf.function(lambda: model.compute_gradients(x, y)[0], autograph=False)()


def _with_other_convolutions():
    inputs = keras.Input(SHAPE)
    h = keras.layers.Conv2DTranspose(2, 3, name="transposed")(inputs)
    h = keras.layers.Conv2D(4, 3, strides=3, groups=2)(h)
    return zoo.MAML(keras.Model(inputs, keras.layers.Flatten()(h)), WAY, num_inner_steps=1)


def test_transposed_and_grouped_convolutions_are_batched():
    if not convolution.groups_have_gradients(tf.float32):
        pytest.skip("TensorFlow runs without oneDNN here")
    model = _with_other_convolutions()
    x, y = descriptors.episode(num_tasks=2, way=WAY, image_shape=SHAPE)
    np.testing.assert_allclose(loss(model, x, y, "batched"), loss(model, x, y, "map"), rtol=1e-4)


def test_what_cannot_be_batched_is_refused_or_mapped_with_a_word(monkeypatch, caplog):
    """As a transposed convolution, where the device has no gradients of grouped ones."""
    monkeypatch.setattr(convolution, "groups_have_gradients", lambda dtype: False)
    model = _with_other_convolutions()
    x, y = descriptors.episode(num_tasks=2, way=WAY, image_shape=SHAPE)
    with pytest.raises(
        ValueError, match=r"^Tasks cannot be taken all at once \(--task_loop=batched\): .*transposed.*"
    ) as error:
        loss(model, x, y, "batched")
    assert "\n" not in str(error.value)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["GPU:0"] * (kind == "GPU"))
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        mapped = loss(model, x, y, "auto")
    (said,) = [record.message for record in caplog.records]
    assert "one by one" in said and "transposed" in said and "\n" not in said
    np.testing.assert_allclose(mapped, loss(model, x, y, "map"), rtol=1e-6)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
