"""What Keras' `compile`, `fit` and `evaluate` can be asked: every method honours it or refuses it in one line."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors
from tests.descriptors import IMAGE_SHAPE, WAY, episode


@pytest.fixture(params=descriptors.params(descriptors.REPRESENTATIVES), scope="module")
def method(request):
    return request.param


@pytest.fixture(scope="module")
def model(method):
    return descriptors.build(method)


def prototypical(**options):
    return zoo.PrototypicalNetwork(zoo.backbones.mlp(IMAGE_SHAPE, hidden_sizes=(4,)), way=WAY, **options)


# ---- what would be ignored


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "mse"},
        {"loss_weights": [2.0]},
        {"weighted_metrics": ["accuracy"]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_loss_beside_the_objective_is_refused(model, options):
    name = next(iter(options))
    with pytest.raises(ValueError, match=f"^`{name}` must be left out: .* minimizes its `task_objective`.*{name}="):
        model.compile("sgd", **options)


def test_weights_of_rows_are_refused(model):
    x, y = episode()
    weights = np.ones(2)
    model.compile("sgd", run_eagerly=True)
    message = "^`sample_weight` and `class_weight` must be left out"
    for ask in (
        lambda: model.fit(x, y, sample_weight=weights, batch_size=2, verbose=0),
        lambda: model.fit(x, y, class_weight={0: 1.0, 1: 2.0, 2: 1.0}, batch_size=2, verbose=0),
        lambda: model.evaluate(x, y, sample_weight=weights, batch_size=2, verbose=0),
        lambda: model.train_on_batch(x, y, sample_weight=weights),
    ):
        with pytest.raises(ValueError, match=message):
            ask()


class AddsLoss(keras.layers.Layer):
    def call(self, x):
        self.add_loss(tf.reduce_mean(x))
        return x


@pytest.mark.parametrize(
    "layer",
    [lambda: AddsLoss(), lambda: keras.layers.Dense(4, activity_regularizer="l2")],
    ids=["add_loss", "activity_regularizer"],
)
@pytest.mark.parametrize("build", [zoo.PrototypicalNetwork, zoo.MAML])
def test_losses_of_a_layers_outputs_are_refused(build, layer):
    inputs = keras.Input((3,))
    backbone = keras.Model(inputs, layer()(keras.layers.Dense(4, kernel_regularizer="l2")(inputs)))
    with pytest.raises(ValueError, match="^Layers must not use `add_loss` or `activity_regularizer`"):
        build(backbone, way=2).compile("sgd")


def test_add_loss_of_the_model_is_refused(model):
    with pytest.raises(NotImplementedError, match="^`add_loss` would be ignored: put the term into `task_objective`"):
        model.add_loss(tf.constant(1.0))


def test_a_loss_of_a_subclass_in_keras_way_is_refused():
    class Subclass(zoo.PrototypicalNetwork):
        def compute_loss(self, *args, **kwargs):
            return tf.constant(0.0)

    with pytest.raises(
        ValueError, match="^`compute_loss` must be left as it is: .*`task_objective`.*Subclass.compute_loss$"
    ):
        Subclass(zoo.backbones.mlp((3,), hidden_sizes=(4,))).compile("sgd")


def test_xla_is_refused(model):
    """It would drop the checks of labels; what Keras takes by itself is no XLA."""
    with pytest.raises(ValueError, match="^`jit_compile` must be left out: XLA [^\n]* Received: jit_compile=True$"):
        model.compile("sgd", jit_compile=True)
    for jit_compile in ("auto", False, None):
        model.compile("sgd", jit_compile=jit_compile)
        assert not model.jit_compile


def test_a_compiled_model_comes_back_from_its_file_with_its_optimizer(tmp_path):
    model = prototypical()
    model.compile(keras.optimizers.Adam(0.25), jit_compile=False, run_eagerly=True)
    model.fit(*episode(), batch_size=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.optimizer.iterations == 1 and not again.jit_compile
    for variable, before in zip(again.optimizer.variables, model.optimizer.variables):
        np.testing.assert_array_equal(variable, before)


def test_export_says_what_to_use(model, tmp_path):
    with pytest.raises(
        NotImplementedError, match=r"^A model that adapts .* `export.export_saved_model\(model, folder\)`[^\n]*$"
    ):
        model.export(tmp_path / "served")


# ---- regularizers


def _with_a_regularizer(model):
    """The model again, with 0.3 |W|^2 of its first regularizable kernel: (model, index of that variable)."""
    again = type(model).from_config(model.get_config())
    again.set_weights(model.get_weights())
    index = next(i for i, v in enumerate(again.trainable_variables) if len(v.shape) > 1)
    again.trainable_variables[index].regularizer = keras.regularizers.L2(0.3)
    return again, index


def test_regularizers_of_layers_are_part_of_training(method, model):
    """One step of plain gradient descent with and without: apart by the slope of 0.3 |W|^2, which is 0.6 W."""
    x, y = episode()
    plain = type(model).from_config(model.get_config())
    plain.set_weights(model.get_weights())
    regular, index = _with_a_regularizer(model)
    kernel = regular.trainable_variables[index].numpy()
    losses = []
    for one in (plain, regular):
        one.compile(keras.optimizers.SGD(0.1))
        losses.append(one.train_step((x, y))["loss"])
    moves = [one.trainable_variables[index].numpy() - kernel for one in (plain, regular)]
    if isinstance(model, zoo.Reptile):  # its five inner steps of rate 0.5 shrink the weights by themselves
        shrunk = np.sum(np.square(kernel + 10 * moves[1])) < 0.2 * np.sum(np.square(kernel + 10 * moves[0]))
        assert shrunk
        return
    np.testing.assert_allclose(losses[1] - losses[0], 0.3 * np.sum(np.square(kernel)), rtol=1e-3)
    np.testing.assert_allclose(moves[1] - moves[0], -0.1 * 0.6 * kernel, rtol=1e-3, atol=1e-6)


# ---- metrics


def test_metrics_see_the_rows_with_a_label(model):
    """Beside the model's own accuracy, which is the mean over episodes: here the same, for all have as many queries."""
    x, y = episode(num_tasks=4)
    model.compile(
        "sgd", run_eagerly=True, metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(1, name="top_1")]
    )
    results = model.evaluate(x, y, batch_size=2, verbose=0, return_dict=True)
    logits = model(x).numpy()
    best = np.take_along_axis(logits, y.numpy()[..., None], axis=-1)[..., 0] >= logits.max(axis=-1)  # or one of several
    np.testing.assert_allclose(results["top_1"], best.mean(), rtol=1e-6)
    np.testing.assert_allclose(results["accuracy"], (logits.argmax(axis=-1) == y.numpy()).mean(), rtol=1e-6)
    assert set(results) >= {"loss", "accuracy", "accuracy_ci95", "top_1"}


def test_metrics_leave_padding_out_and_learn_with_fit():
    model = prototypical()
    x, y = episode(num_tasks=4)
    y = tf.where(tf.range(y.shape[1]) < 2, tf.constant(-1, tf.int64), y)
    crossentropy = keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="nats")
    model.compile("sgd", metrics=[crossentropy, "sparse_categorical_accuracy"])
    results = model.evaluate(x, y, batch_size=2, verbose=0, return_dict=True)
    np.testing.assert_allclose(results["nats"], results["loss"], rtol=1e-5)
    history = model.fit(x, y, batch_size=2, epochs=2, verbose=0, validation_data=(x, y)).history
    assert len(history["nats"]) == len(history["val_sparse_categorical_accuracy"]) == 2


def test_metrics_of_a_regression_model():
    model = zoo.MAML(zoo.backbones.mlp((1,), hidden_sizes=(8,)), target_size=1, num_inner_steps=1)
    x = {"support_x": np.ones([2, 3, 1]), "support_y": np.ones([2, 3, 1]), "query_x": np.ones([2, 4, 1])}
    model.compile(metrics=["mse", "mean_absolute_error"])
    results = model.evaluate(x, np.zeros([2, 4, 1]), batch_size=2, verbose=0, return_dict=True)
    expected = np.abs(model(x)).mean()
    np.testing.assert_allclose(results["mean_absolute_error"], expected, rtol=1e-5)
    np.testing.assert_allclose(results["mean_squared_error"], np.square(model(x)).mean(), rtol=1e-5)


@pytest.mark.parametrize(
    "make_metrics, message",
    [
        (lambda: "accuracy", "`metrics` must be a list"),
        (lambda: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")], "Metrics must have other names than"),
    ],
)
def test_metrics_that_would_hide_another_are_refused(make_metrics, message):
    with pytest.raises(ValueError, match=message):
        prototypical().compile("sgd", metrics=make_metrics())


# ---- optimizer


def test_a_model_without_an_optimizer_is_evaluated_and_not_trained(model, tmp_path):
    x, y = episode()
    model.compile()
    assert model.test_step((x, y))["loss"] > 0
    for train in (lambda: model.fit(x, y, batch_size=2, verbose=0), lambda: model.train_on_batch(x, y)):
        with pytest.raises(ValueError, match=r"^Training needs an optimizer: model.compile\(optimizer=...\)"):
            train()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.optimizer is None


@pytest.mark.parametrize("scale", [2.0**10])
def test_an_optimizer_that_divides_by_a_scale_gets_scaled_gradients(model, scale):
    x, y = episode()
    moves = []
    for optimizer in (
        keras.optimizers.SGD(0.1),
        keras.optimizers.SGD(0.1, loss_scale_factor=scale),
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=scale),
    ):
        one = type(model).from_config(model.get_config())
        one.set_weights(model.get_weights())
        before = [v.numpy() for v in one.trainable_variables]
        one.compile(optimizer)
        one.train_step((x, y))
        moves.append(np.concatenate([np.ravel(v - start) for v, start in zip(one.trainable_variables, before)]))
    assert np.abs(moves[0]).max() > 1e-4
    for move in moves[1:]:
        np.testing.assert_allclose(move, moves[0], rtol=1e-3, atol=1e-6)


# ---- callbacks


@pytest.mark.parametrize(
    "build, monitor, better",
    [
        (lambda: prototypical(), "val_accuracy", "greater"),
        (lambda: prototypical(), "accuracy", "greater"),
        (
            lambda: zoo.LSTMBaseline(zoo.backbones.pixels(IMAGE_SHAPE), WAY, controller_size=8),
            "val_accuracy_2nd",
            "greater",
        ),
        (lambda: zoo.MAML(zoo.backbones.mlp(IMAGE_SHAPE), target_size=1), "val_mean_squared_error", "less"),
        (lambda: prototypical(), "val_loss", "less"),
    ],
)
def test_callbacks_in_auto_mode_know_the_direction(build, monitor, better, tmp_path):
    model = build()
    x, y = episode(num_tasks=2)
    if model.target_size:
        x["support_y"], y = (tf.zeros([*labels.shape, 1]) for labels in (x["support_y"], y))
    callbacks = [
        keras.callbacks.EarlyStopping(monitor=monitor, patience=1),
        keras.callbacks.ModelCheckpoint(
            tmp_path / "best.weights.h5", monitor, save_best_only=True, save_weights_only=True
        ),
    ]
    model.compile("sgd")
    model.fit(x, y, batch_size=2, verbose=0, epochs=2, validation_data=(x, y), callbacks=callbacks)
    assert [callback.monitor_op.__name__ for callback in callbacks] == [better, better]


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
