"""What an inner loop can be made of: first or second order, a rate of its own for each step, another optimizer."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from benchmarks import profile
from tests.finite_differences import check_gradients
from zoo.core import inner_optimizers

layers = keras.layers
OPTIMIZERS = [
    ("sgd", lambda: keras.optimizers.SGD(0.1)),
    ("momentum", lambda: keras.optimizers.SGD(0.1, momentum=0.9)),
    ({"name": "momentum", "momentum": 0.5, "nesterov": True}, lambda: keras.optimizers.SGD(0.1, 0.5, nesterov=True)),
    ("adam", lambda: keras.optimizers.Adam(0.1, beta_1=0.0, epsilon=1e-8)),
    ({"name": "adam", "beta_1": 0.9, "beta_2": 0.99}, lambda: keras.optimizers.Adam(0.1, 0.9, 0.99, epsilon=1e-8)),
]
IDS = ["sgd", "momentum", "nesterov", "adam", "adam with momentum"]


@pytest.fixture
def float64():
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy("float32")


def smooth(size=3):
    return keras.Sequential([keras.Input((2,)), layers.Dense(size, "tanh", name="dense")])


def problem(num_tasks=2, dtype="float32"):
    rng = np.random.default_rng(0)
    y = tf.constant(np.tile([0, 1, 2, 0], (num_tasks, 1)))
    x = {name: tf.constant(rng.standard_normal((num_tasks, 4, 2)), dtype) for name in ("support_x", "query_x")}
    return {**x, "support_y": y}, y


def regression(method, **options):
    """y = w x + b on one input, b and w at 0; of L = (b - 1)^2 on the one row (0, 1) only b gets a gradient."""
    inputs = keras.Input((1,))
    backbone = keras.Model(inputs, layers.Activation("linear")(inputs))
    model = method(backbone, target_size=1, head_initializer="zeros", **options)
    x = {"support_x": tf.zeros([1, 1, 1]), "support_y": tf.ones([1, 1, 1]), "query_x": tf.zeros([1, 1, 1])}
    return model, x, tf.ones([1, 1, 1])


# ---- first order


@pytest.mark.parametrize("method", [zoo.MAML, zoo.ANIL, zoo.MetaSGD])
def test_first_order_is_an_argument(method):
    """alpha 0.2, b1 = 0.4, L' = 2 (b1 - 1); second order has a factor 1 - 2 alpha."""
    for first_order, expected in ((None, -1.2 * 0.6), (False, -1.2 * 0.6), (True, -1.2)):
        options = dict(num_inner_steps=1, inner_learning_rate=0.2, first_order=first_order)
        model, x, y = regression(method, **options)
        again = method.from_config(model.get_config())
        assert again.first_order == bool(first_order)
        for copy in (model, again):
            gradients = dict(zip([v.path for v in copy.trainable_variables], copy.compute_gradients(x, y)[2]))
            np.testing.assert_allclose(gradients["head/bias"], [expected], rtol=1e-6)


def test_fomaml_is_first_order_unless_told_otherwise():
    assert zoo.FOMAML(smooth(), way=3).first_order and zoo.FOMAML(smooth(), way=3).get_config()["first_order"]
    assert not zoo.FOMAML(smooth(), way=3, first_order=False).first_order
    assert zoo.FOMAML.from_config({**zoo.MAML(smooth(), way=3).get_config(), "first_order": None}).first_order


# ---- rates


class RatesOfMAMLPlusPlus(zoo.MAML):
    """A learned rate for every variable and step; steps beyond those of training take the last one."""

    def __init__(self, backbone, **options):
        super().__init__(backbone, **options)
        start = keras.initializers.Constant(self.inner_learning_rate)
        shape = (self.num_inner_steps,)
        self._rates = {
            name: self.add_weight(name=f"rate_{index}", shape=shape, initializer=start)
            for index, name in enumerate(self.initial_weights())
        }

    def step_size(self, name, step):
        return tf.gather(self._rates[name], tf.minimum(step, self.num_inner_steps - 1))


def test_rates_per_step_are_a_subclass():
    """b1 = 2 a0, b2 = b1 - 2 a1 (b1 - 1), L = (b2 - 1)^2 = (1 - 2 a0)^2 (1 - 2 a1)^2."""
    model, x, y = regression(RatesOfMAMLPlusPlus, num_inner_steps=2, num_inner_steps_test=4)
    rates = model._rates["head/bias"]
    rates.assign([0.1, 0.3])
    loss, _, gradients = model.compute_gradients(x, y)
    np.testing.assert_allclose(loss, 0.8**2 * 0.4**2, rtol=1e-5)
    found = next(g for v, g in zip(model.trainable_variables, gradients) if v is rates)
    np.testing.assert_allclose(found, [-4 * 0.8 * 0.4**2, -4 * 0.8**2 * 0.4], rtol=1e-5)
    state = model.adapt(x["support_x"], x["support_y"])
    np.testing.assert_allclose(state["head/bias"], [[1 - 0.8 * 0.4**3]], rtol=1e-5)


def test_rates_per_step_are_trained_and_saved(tmp_path):
    keras.utils.set_random_seed(0)
    x, y = problem(num_tasks=8)
    model = RatesOfMAMLPlusPlus(smooth(), way=3, num_inner_steps=2, inner_learning_rate=0.1)
    model.compile(optimizer=keras.optimizers.Adam(0.05))
    losses = model.fit(x, y, epochs=15, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]
    rates = np.array([np.asarray(rate) for rate in model._rates.values()])
    assert rates.shape == (4, 2) and np.abs(rates[:, 0] - rates[:, 1]).min() > 1e-3
    model.save_weights(tmp_path / "model.weights.h5")
    again = RatesOfMAMLPlusPlus.from_config(model.get_config())
    again.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(again(x), model(x))


# ---- optimizers


@pytest.mark.parametrize("identifier, reference", OPTIMIZERS, ids=IDS)
def test_steps_are_those_of_the_keras_optimizer(identifier, reference):
    """Three steps on the support set of each task, from the same weights; training and inference take the same."""
    keras.utils.set_random_seed(0)
    model = zoo.MAML(smooth(), way=3, num_inner_steps=3, inner_learning_rate=0.1, inner_optimizer=identifier)
    x, _ = problem()
    states = [model.adapt(x["support_x"], x["support_y"], training) for training in (False, True)]
    start = model.network.get_weights()
    for task in range(2):
        model.network.set_weights(start)
        optimizer, variables = reference(), model.network.trainable_variables
        for _ in range(3):
            with tf.GradientTape() as tape:
                outputs = model.network(x["support_x"][task])
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=x["support_y"][task], logits=outputs)
                loss = tf.reduce_mean(losses)
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        for variable in variables:
            for state in states:
                np.testing.assert_allclose(state[model.name_of(variable)][task], variable, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("identifier", [identifier for identifier, _ in OPTIMIZERS[1:]], ids=IDS[1:])
@pytest.mark.parametrize("method", [zoo.MAML, zoo.MetaSGD])
def test_the_outer_gradient_goes_through_the_optimizer(method, identifier, float64):
    keras.utils.set_random_seed(0)
    model = method(smooth(), way=3, num_inner_steps=2, inner_learning_rate=0.05, inner_optimizer=identifier)
    x, y = problem(dtype="float64")
    step = tf.function(model.compute_gradients, autograph=False)
    _, _, gradients = step(x, y)
    check_gradients(lambda: step(x, y)[0], model.trainable_variables, gradients, rtol=1e-4, atol=1e-8)


def test_adam_is_differentiable_at_a_gradient_of_zero():
    """As a silent ReLU gives it."""
    rule, gradient = inner_optimizers.get({"name": "adam", "beta_1": 0.5}), tf.zeros([2])
    with tf.GradientTape() as tape:
        tape.watch(gradient)
        slots = inner_optimizers.start(rule, {"w": gradient})["w"]
        direction, _ = rule.direction(gradient, slots, 0, 1)
    np.testing.assert_array_equal(direction, [0, 0])
    assert np.isfinite(tape.gradient(direction, gradient)).all()


@pytest.mark.parametrize("identifier", [identifier for identifier, _ in OPTIMIZERS], ids=IDS)
def test_reptile_takes_the_same_optimizers(identifier):
    """Its inner steps on the whole support set are MAML's; only Adam's second moments are kept, and start at 0 here."""
    options = dict(inner_learning_rate=0.1, inner_optimizer=identifier)
    reptile = zoo.Reptile(smooth(), way=3, num_inner_steps_test=3, inner_batch_test=4, **options)
    maml = zoo.MAML(reptile.backbone, way=3, num_inner_steps=3, **options)
    maml.network.set_weights(reptile.network.get_weights())
    x, y = problem()
    theirs = maml.adapt(x["support_x"], x["support_y"])
    for name, value in reptile.adapt(x["support_x"], x["support_y"]).items():
        if name in theirs:
            np.testing.assert_allclose(value, theirs[name], rtol=1e-4, atol=1e-5)
    reptile.compile(optimizer=keras.optimizers.SGD(1.0))
    reptile.train_on_batch(x, y)
    again = zoo.Reptile.from_config(reptile.get_config())
    again.set_weights(reptile.get_weights())
    np.testing.assert_array_equal(again(x), reptile(x))


@pytest.mark.parametrize(
    "identifier, message",
    [
        (
            "lion",
            r"`inner_optimizer` must be one of \['adam', 'momentum', 'sgd'\], .* Received: inner_optimizer='lion'",
        ),
        (None, "`inner_optimizer` must be one of .* Received: inner_optimizer=None"),
        ({"momentum": 0.5}, "`inner_optimizer` must be one of .* Received: inner_optimizer={'momentum': 0.5}"),
        ({"name": "sgd", "momentum": 0.5}, r"`inner_optimizer` 'sgd' has the options \[\]. Received:"),
        ({"name": "adam", "beta": 0.5}, r"'adam' has the options \['beta_1', 'beta_2', 'epsilon'\]. Received:"),
    ],
)
@pytest.mark.parametrize("method", [zoo.MAML, zoo.Reptile])
def test_unknown_optimizers_are_refused(method, identifier, message):
    with pytest.raises(ValueError, match=message):
        method(smooth(), way=3, inner_optimizer=identifier)


@pytest.mark.parametrize(
    "identifier, message",
    [
        ({"name": "momentum", "momentum": "0.9"}, r"`inner_optimizer\['momentum'\]` must be a number .*='0.9'"),
        (
            {"name": "momentum", "momentum": 1},
            r"'momentum'\]` must be a number of at least 0 and below 1. Received: .*=1",
        ),
        ({"name": "momentum", "nesterov": "no"}, r"`inner_optimizer\['nesterov'\]` must be True or False. .*='no'"),
        ({"name": "adam", "beta_1": 1.5}, r"'beta_1'\]` must be a number of at least 0 and below 1. Received: .*=1.5"),
        (
            {"name": "adam", "beta_2": -0.1},
            r"'beta_2'\]` must be a number of at least 0 and below 1. Received: .*=-0.1",
        ),
        ({"name": "adam", "epsilon": -1}, r"'epsilon'\]` must be a number above 0. Received: .*=-1"),
    ],
)
@pytest.mark.parametrize("method", [zoo.MAML, zoo.Reptile])
def test_options_that_an_optimizer_cannot_have_are_refused(method, identifier, message):
    with pytest.raises(ValueError, match=message):
        method(smooth(), way=3, inner_optimizer=identifier)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))


# ---- speed


@pytest.mark.parametrize(
    "method, statistics, step",
    [("Reptile", "batch", "train"), ("MAML", "batch", "test"), ("LSTMMetaLearner", "running", "train")],
)
def test_gradients_of_max_pools_have_the_kernel_that_knows_their_forward_pass(method, statistics, step):
    """A third of a step of Reptile on 84x84 images went into the other one, which looks for the maxima again."""
    backbone = zoo.backbones.conv4((16, 16, 1), filters=4, statistics=statistics)
    model = getattr(zoo, method)(backbone, way=2)
    model.compile(optimizer="sgd")
    x = {"support_x": tf.ones([2, 4, 16, 16, 1]), "query_x": tf.ones([2, 2, 16, 16, 1])}
    y = tf.tile([[0, 1]], [2, 1])
    run = tf.function(lambda: getattr(model, f"{step}_step")(({**x, "support_y": tf.tile(y, [1, 2])}, y)))
    run()
    ops = profile.durations_by_op(run)
    assert "MaxPoolGrad" not in ops or "_MklNativeMaxPool" not in ops  # oneDNN is not everywhere
    assert any("MaxPoolGrad" in op for op in ops)
