"""What every method must keep, swept over the list in descriptors.py."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from export import client
from tests import descriptors
from tests.descriptors import WAY, episode

TOLERANCE = dict(rtol=1e-4, atol=1e-5)


@pytest.fixture(params=descriptors.params(), scope="module")
def method(request):
    return request.param


@pytest.fixture(params=descriptors.params(descriptors.REPRESENTATIVES), scope="module")
def representative(request):
    return request.param


@pytest.fixture(scope="module")
def model(method):
    """For inference, which changes no variable."""
    return descriptors.build(method)


@pytest.fixture
def fresh_model(method):
    """For training."""
    return descriptors.build(method)


@pytest.fixture(scope="module")
def fitted(representative, tmp_path_factory):
    """A model after 12 epochs on 16 tasks, its history, and the folder of its callbacks. Tests may train it further."""
    folder, model = tmp_path_factory.mktemp("fitted"), descriptors.build(representative)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    callbacks = [
        keras.callbacks.ModelCheckpoint(folder / "best.weights.h5", save_weights_only=True, monitor="loss"),
        keras.callbacks.EarlyStopping(monitor="loss", patience=100),
        keras.callbacks.CSVLogger(folder / "log.csv"),
    ]
    history = fit(model, epochs=12, callbacks=callbacks).history
    return model, history, folder


def fit(model, label_offset=0, **options):
    x, y = episode(num_tasks=16)
    return model.fit(x, y + label_offset, batch_size=8, verbose=0, **options)


def probabilities(model, x):
    return tf.nn.softmax(model(x)).numpy()


def test_a_query_of_a_class_without_support_is_refused(fresh_model):
    """Its loss would be that of a probability of 0: 1e9 shared by the queries."""
    x, y = episode()
    x["support_y"] = tf.where(x["support_y"] == WAY - 1, tf.zeros_like(x["support_y"]), x["support_y"])
    fresh_model.compile(optimizer="sgd", run_eagerly=True)
    for step in (fresh_model.train_on_batch, fresh_model.test_on_batch):
        with pytest.raises(tf.errors.InvalidArgumentError, match="must have a support row in its task"):
            step(x, y)


def test_state_and_logits_have_the_declared_shapes(method, model):
    x, y = episode(num_tasks=2)
    state = model.adapt(x["support_x"], x["support_y"])
    assert {name: tuple(value.shape) for name, value in state.items()} == {
        name: (2, *shape) for name, shape in method.state.items()
    }
    assert model.predict_with(state, x["query_x"]).shape == (2, y.shape[1], WAY)


def test_call_is_predict_with_of_adapt(model):
    x, _ = episode()
    state = model.adapt(x["support_x"], x["support_y"])
    np.testing.assert_allclose(model(x), model.predict_with(state, x["query_x"]), **TOLERANCE)


def test_transductive_is_what_it_says(method, model):
    x, _ = episode(query=1)
    alone = tf.concat([model({**x, "query_x": x["query_x"][:, i : i + 1]}) for i in range(WAY)], axis=1)
    difference = float(np.abs(alone - model(x)).max())
    assert model.transductive == method.transductive
    assert (difference > 1e-2) if method.transductive else (difference < 1e-4), difference


def test_a_task_answers_alone_as_in_a_batch(model):
    x, _ = episode(num_tasks=3)
    together = model(x)
    for task in range(3):
        alone = model({key: value[task : task + 1] for key, value in x.items()})
        np.testing.assert_allclose(alone[0], together[task], **TOLERANCE)


def test_padded_support_rows_change_nothing(model):
    x, _ = episode()
    noise = tf.random.stateless_uniform([2, 4, *descriptors.IMAGE_SHAPE], [0, 0])
    padded = {
        "support_x": tf.concat([noise[:, :2], x["support_x"], noise[:, 2:]], axis=1),
        "support_y": tf.pad(x["support_y"], [[0, 0], [2, 2]], constant_values=-1),
        "query_x": x["query_x"],
    }
    np.testing.assert_allclose(model(padded), model(x), **TOLERANCE)


def test_a_class_without_support_has_probability_zero(model):
    x, _ = episode()
    x["support_y"] = tf.where(x["support_y"] == 1, tf.constant(-1, tf.int64), x["support_y"])
    answers = probabilities(model, x)
    assert (answers[..., 1] == 0).all()
    np.testing.assert_allclose(answers.sum(axis=-1), 1, rtol=1e-5)


def test_a_task_without_support_is_answered_and_leaves_its_neighbour(model):
    x, _ = episode()
    expected = model(x)[1]
    x["support_y"] = tf.stack([tf.fill(x["support_y"][0].shape, np.int64(-1)), x["support_y"][1]])
    answers = probabilities(model, x)
    assert np.isfinite(answers).all()
    np.testing.assert_allclose(model(x)[1], expected, **TOLERANCE)


def test_training_ignores_padded_rows(method, fresh_model):
    if not method.trains_on_padding:
        x, y = episode()
        x["support_y"] = tf.concat([tf.fill([2, 1], np.int64(-1)), x["support_y"][:, 1:]], axis=1)
        fresh_model.compile(optimizer="sgd")
        with pytest.raises(tf.errors.InvalidArgumentError, match="padded_support=True"):
            fresh_model.train_on_batch(x, y)
        return
    x, y = episode()
    # Padded rows count in the training statistics of BatchNorm; a second copy of all rows leaves these as they were.
    padded_x = {
        "support_x": tf.repeat(x["support_x"], 2, axis=1),
        "support_y": _with_padding(x["support_y"]),
        "query_x": tf.repeat(x["query_x"], 2, axis=1),
    }
    padded_y = _with_padding(y)
    if not any(isinstance(layer, zoo.BatchNorm) for layer in fresh_model._flatten_layers()):
        padded_x = {key: _noise_at_padding(value) if "x" in key else value for key, value in padded_x.items()}
    loss, _, gradients = fresh_model.compute_gradients(x, y)
    padded_loss, _, padded_gradients = fresh_model.compute_gradients(padded_x, padded_y)
    np.testing.assert_allclose(padded_loss, loss, **TOLERANCE)
    for padded, gradient in zip(padded_gradients, gradients):
        np.testing.assert_allclose(padded, gradient, **TOLERANCE)


def test_the_objective_of_a_subclass_reaches_fit(method, fresh_model):
    """Three times the loss and a share of a weight: both in what `fit` reports and in what it does to the weights."""
    model, x_y = fresh_model, episode(num_tasks=4)
    variable = model.trainable_variables[-1]
    share = 0.0 if isinstance(model, zoo.Reptile) else 0.25  # the weights that it differentiates by are its own

    class Subclass(type(model)):
        def task_objective(self, y, outputs):
            weight = tf.cast(tf.reduce_sum(self.trainable_variables[-1]), outputs.dtype)
            return 3.0 * super().task_objective(y, outputs) + share * weight

    changed = Subclass.from_config(model.get_config())
    changed.set_weights(model.get_weights())
    if isinstance(model, zoo.Reptile):
        model.inner_learning_rate *= 3  # what three times the loss amounts to
    before = [v.numpy() for v in model.trainable_variables]
    weight = np.sum(variable)
    losses, moves = [], []
    for one in (model, changed):
        one.compile(
            optimizer=keras.optimizers.SGD(0.5), run_eagerly=True
        )  # one step each: seconds less than two graphs
        losses.append(one.fit(*x_y, batch_size=4, verbose=0).history["loss"][0])
        moves.append([v - start for v, start in zip(one.trainable_variables, before)])
    np.testing.assert_allclose(losses[1], 3 * losses[0] + share * weight, rtol=1e-4)
    for v, plain, other in zip(model.trainable_variables, *moves):
        factor = 1 if isinstance(model, zoo.Reptile) else 3
        expected = factor * plain - (0.5 * share if v is variable else 0.0)
        np.testing.assert_allclose(other, expected, rtol=1e-3, atol=1e-5, err_msg=v.path)


def _with_padding(labels):
    """[T, rows] -> [T, 2 * rows], every second one padding."""
    return tf.reshape(tf.stack([labels, tf.fill(labels.shape, np.int64(-1))], axis=-1), [labels.shape[0], -1])


def _noise_at_padding(images):
    noise = tf.random.stateless_uniform(images.shape, [0, 0])
    padding = tf.reshape(tf.range(images.shape[1]) % 2 == 1, [1, -1, 1, 1, 1])
    return tf.where(padding, noise, images)


def test_every_weight_but_dead_ones_gets_a_gradient(fresh_model):
    x, y = episode(num_tasks=4, query=3)
    _, _, gradients = fresh_model.compute_gradients(x, y)
    for variable, gradient in zip(fresh_model.trainable_variables, gradients):
        assert gradient is not None and np.abs(gradient).max() > 0, variable.path


def test_the_gradient_is_the_gradient_of_the_loss(method):
    """Along a random direction, against the difference quotient of the same loss, in float64.

    Where the paper makes parts of it constants, the two must differ.
    """
    keras.config.set_dtype_policy("float64")
    try:
        model = descriptors.build(method)
        x, y = episode(query=3)
        x = {key: tf.cast(value, tf.float64) if value.dtype.is_floating else value for key, value in x.items()}
        compute_gradients = tf.function(model.compute_gradients, autograph=False)
        _, _, gradients = compute_gradients(x, y)
        rng = np.random.default_rng(0)
        directions = [rng.standard_normal(variable.shape) for variable in model.trainable_variables]
        losses = []
        for shift in (1e-6, -2e-6):
            for variable, direction in zip(model.trainable_variables, directions):
                variable.assign_add(shift * direction)
            losses.append(compute_gradients(x, y)[0])
        slope = sum(np.sum(gradient * direction) for gradient, direction in zip(gradients, directions))
        agrees = np.allclose((losses[0] - losses[1]) / 2e-6, slope, rtol=1e-4, atol=0)
        assert agrees == method.exact_gradient, (slope, losses)
    finally:
        keras.config.set_dtype_policy("float32")


def test_fit_learns_and_works_with_callbacks(fitted):
    _, history, folder = fitted
    assert len(history["loss"]) == 12 and history["loss"][-1] < 0.8 * history["loss"][0]
    assert (folder / "best.weights.h5").exists() and len((folder / "log.csv").read_text().splitlines()) == 13


def test_evaluate_reports_the_interval_over_episodes_and_changes_no_variable(fresh_model):
    x, y = episode(num_tasks=8, query=4)
    before = [variable.numpy() for variable in fresh_model.variables]
    fresh_model.compile()
    logs = fresh_model.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
    per_episode = (fresh_model(x).numpy().argmax(axis=-1) == y.numpy()).mean(axis=1)
    np.testing.assert_allclose(logs["accuracy"], per_episode.mean(), rtol=1e-5)
    np.testing.assert_allclose(logs["accuracy_ci95"], 1.959964 * per_episode.std(ddof=1) / np.sqrt(8), rtol=1e-3)
    for variable, value in zip(fresh_model.variables, before):
        np.testing.assert_array_equal(variable, value, err_msg=variable.path)


def test_predict_gives_the_logits(model):
    x, _ = episode(num_tasks=4)
    np.testing.assert_allclose(model.predict(x, batch_size=2, verbose=0), model(x), **TOLERANCE)


def test_config_round_trip(model):
    again = type(model).from_config(model.get_config())
    again.set_weights(model.get_weights())
    x, _ = episode()
    np.testing.assert_array_equal(again(x), model(x))


def test_what_is_frozen_comes_back_frozen_and_nothing_else(fresh_model):
    """The backbone after the model was built; then one layer beside it; then the whole model."""
    inside = {id(layer) for layer in fresh_model.backbone._flatten_layers()}
    beside = [
        layer
        for layer in fresh_model._flatten_layers(include_self=False)
        if layer.trainable_variables and id(layer) not in inside and layer.name != "network"
    ]
    for part in (fresh_model.backbone, *beside[:1], fresh_model):
        part.trainable = False
        copy = type(fresh_model).from_config(fresh_model.get_config())
        assert [v.path for v in copy.trainable_variables] == [v.path for v in fresh_model.trainable_variables], part


def test_keras_file_round_trip_keeps_answers_and_optimizer(fitted, tmp_path):
    model, _, _ = fitted
    x, _ = episode(num_tasks=4)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(x), model(x))
    for copy in (model, again):  # the optimizer's state goes on too
        fit(copy, epochs=1, shuffle=False)
    np.testing.assert_allclose(again(x), model(x), **TOLERANCE)


def test_preset_round_trip(model, tmp_path):
    from zoo.presets import writer

    writer.save_preset_config(model, tmp_path, {"config": {}})
    writer.save_preset_weights(model, tmp_path)
    x, _ = episode()
    np.testing.assert_array_equal(zoo.from_preset(tmp_path)(x), model(x))


def test_mirrored_step_is_the_step_of_one_device(representative, mirrored):
    """Two replicas with half of the tasks each end where one device with all tasks ends."""
    x, y = episode(num_tasks=4)
    weights = []
    for scope in (tf.distribute.get_strategy(), mirrored):
        with scope.scope():
            model = descriptors.build(representative)
            model.compile(optimizer=keras.optimizers.SGD(0.1))
            model.optimizer.build(model.trainable_variables)
        if any(layer.statistics == "running" for layer in model._flatten_layers() if isinstance(layer, zoo.BatchNorm)):
            # One forward pass over all tasks shares its statistics; tasks that are alike make the halves the same.
            x, y = tf.nest.map_structure(lambda values: tf.repeat(values[:1], 4, axis=0), (x, y))
        model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        weights.append([variable.numpy() for variable in model.trainable_variables])
    for one, two in zip(*weights):
        np.testing.assert_allclose(two, one, rtol=1e-3, atol=1e-5)


def test_export_answers_as_the_model_does(representative, export_of):
    """A padded task compared with the unpadded one. `export` has compared both in a process without this package."""
    model, folder = export_of(representative)
    x, _ = episode(num_tasks=2)
    local = client.LocalClient(folder)
    support = {
        "support_images": tf.pad(x["support_x"], [[0, 0], [0, 1], [0, 0], [0, 0], [0, 0]]),
        "support_labels": tf.pad(x["support_y"], [[0, 0], [0, 1]], constant_values=99),
    }
    support = {name: value.numpy() for name, value in support.items()}
    adapted = local.call("adapt", support)
    np.testing.assert_array_equal(adapted["support_count"], [2 * WAY] * 2)
    of_support = probabilities(model, {**x, "query_x": x["support_x"]})
    losses = -np.log(np.take_along_axis(of_support, x["support_y"].numpy()[..., None], axis=-1))
    np.testing.assert_allclose(adapted["support_loss"], losses.mean(axis=(1, 2)), rtol=1e-3, atol=1e-4)
    expected = probabilities(model, x)
    for signature, inputs in (
        ("predict", {"task_state": adapted["task_state"]}),
        ("adapt_and_predict", support),
        ("serving_default", support),
    ):
        answers = local.call(signature, {**inputs, "query_images": x["query_x"].numpy()})
        np.testing.assert_allclose(answers["probabilities"], expected, rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(answers["labels"], expected.argmax(axis=-1))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x: {**x, "support_x": x["support_x"][0]}, "`support_x` must be float"),
        (lambda x: {**x, "support_y": tf.cast(x["support_y"], tf.float32)}, "`support_y` must be int64"),
        (lambda x: {**x, "support_y": x["support_y"][:, :-1]}, "`support_y` must label every row"),
        (lambda x: {**x, "support_y": x["support_y"] + 1}, "`support_y` must hold labels from 0 to 2"),
        (lambda x: {"support_x": x["support_x"], "query_x": x["query_x"]}, "Inputs must have the keys"),
        (lambda x: {**x, "query_x": x["query_x"][..., :8, :]}, "`query_x` must be float"),
    ],
    ids=["rank", "dtype", "rows", "range", "keys", "query shape"],
)
def test_bad_input_is_named(model, change, message):
    x, _ = episode()
    with pytest.raises(ValueError, match=message):
        model(change(x))


def test_labels_out_of_range_stop_training(fitted):
    model, _, _ = fitted
    with pytest.raises(tf.errors.InvalidArgumentError, match="must hold labels from 0 to 2"):
        fit(model, label_offset=1)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
