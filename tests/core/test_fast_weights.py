"""A user's own backbone under methods that adapt by gradients: names, frozen layers, random layers, Keras' normalization."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests.finite_differences import check_gradients
from zoo.core.unique_names import unique_names

layers = keras.layers
SIZE, WAY = 6, 3
STEPS = dict(num_inner_steps=2, num_inner_steps_test=2)


def learner(method, backbone, **options):
    """A model of a method, by name, with inner steps that move its weights."""
    options = {**STEPS, **options}
    if method == "LSTMMetaLearner":
        return zoo.LSTMMetaLearner(backbone, way=WAY, hidden_size=3, **options)
    if method == "Reptile":
        options["inner_batch"] = options["inner_batch_test"] = 6
    return getattr(zoo, method)(backbone, way=WAY, inner_learning_rate=0.5, **options)


LEARNERS = ["MAML", "FOMAML", "ANIL", "MetaSGD", "Reptile", "LSTMMetaLearner"]


def problem(num_tasks=2, seed=0, shape=(SIZE,)):
    rng = np.random.default_rng(seed)
    y = np.tile([0, 1, 2, 0, 1, 2], (num_tasks, 1))
    x = {name: rng.standard_normal((num_tasks, 6, *shape)).astype(np.float32) for name in ("support_x", "query_x")}
    tensors = {name: tf.constant(value) for name, value in {**x, "support_y": y}.items()}
    return tensors, tf.constant(y)


def norm(kind):
    return {
        "batch": layers.BatchNormalization,
        "layer": layers.LayerNormalization,
        "group": lambda: layers.GroupNormalization(2),
    }[kind]()


def normalized(kind, wrap=False):
    """A dense layer, a Keras normalization, ReLU; the normalization inside of a network of its own with `wrap`."""
    part = keras.Sequential([keras.Input((4,)), norm(kind)]) if wrap else norm(kind)
    return keras.Sequential([keras.Input((SIZE,)), layers.Dense(4), part, layers.ReLU()])


# ---- names


def test_unique_names_number_those_that_came_before():
    assert unique_names(["a", "b", "a", "a"]) == ["a", "b", "a_2", "a_3"]
    assert unique_names(["a", "a_2", "a"]) == ["a", "a_2", "a_3"]
    assert unique_names(["a", "b"], taken=["b", "b_2"]) == ["a", "b_3"]
    assert unique_names(["a", "a", "a_2"]) == ["a", "a_3", "a_2"]


def twins(builder=lambda name: zoo.backbones.mlp((SIZE,), hidden_sizes=(4,), name=name)):
    """Two networks of one builder side by side: their variables have the same paths."""
    inputs = keras.Input((SIZE,))
    return keras.Model(inputs, layers.Concatenate()([builder("left")(inputs), builder("right")(2 * inputs)]))


def smooth(name):
    return keras.Sequential([keras.Input((SIZE,)), layers.Dense(3, "tanh", name="dense")], name=name)


def with_a_layer_named_head():
    return keras.Sequential([keras.Input((SIZE,)), layers.Dense(4, name="head"), layers.ReLU()])


def named_head():
    inputs = keras.Input((SIZE,))
    return keras.Model(inputs, layers.Dense(4, "relu")(inputs), name="head")


@pytest.mark.parametrize("build", [twins, with_a_layer_named_head, named_head])
@pytest.mark.parametrize("method", LEARNERS)
def test_without_steps_the_answers_are_the_networks(method, build):
    """Two variables of one path must not take each other's place."""
    x, _ = problem()
    model = learner(method, build())
    theta = model.initial_weights()
    assert len(theta) == len(model.fast_variables())
    if method == "ANIL":
        answers = [model.forward(theta, model.backbone(rows)) for rows in x["query_x"]]
    elif method == "LSTMMetaLearner":
        answers = [model.forward({**theta, **model._averages()}, rows) for rows in x["query_x"]]
    else:
        answers = [model.forward(theta, rows) for rows in x["query_x"]]
    np.testing.assert_allclose(answers, [model.network(rows) for rows in x["query_x"]], rtol=1e-5, atol=1e-6)
    state = model.adapt(x["support_x"], x["support_y"])
    assert {name: value.shape[1:] for name, value in state.items() if "support" not in name} == {
        name: spec.shape for name, spec in model.state_signature().items() if "support" not in name
    }
    for variable in model.fast_variables():
        before, after = np.asarray(variable), state[model.name_of(variable)]
        assert after.shape[1:] == before.shape and (method == "ANIL" or np.abs(after - before).max() > 0)


def blocks():
    """Each learns its input shape when the outer network calls it, and Keras begins the paths of its weights with both."""
    block = [
        keras.Sequential([layers.Dense(4, name=f"part_{i}"), zoo.BatchNorm("batch", name=f"norm_{i}")]) for i in (1, 2)
    ]
    return keras.Sequential([keras.Input((SIZE,)), *block], name="outer")


def without_its_top():
    whole = keras.Sequential([keras.Input((SIZE,)), layers.Dense(4, name="part_1"), layers.Dense(9)], name="whole")
    return keras.Model(whole.inputs, whole.layers[0].output)


@keras.saving.register_keras_serializable("tests")
class OfLayers(layers.Layer):
    """A layer of one's own that makes others, which Keras numbers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = keras.Sequential([layers.Dense(2), layers.Dense(3)])

    def build(self, shape):
        self.parts.build(shape)

    def call(self, x):
        return self.parts(x)

    def compute_output_shape(self, shape):
        return (*shape[:-1], 3)


def of_layers_in_layers():
    rows = layers.TimeDistributed(OfLayers(name="own"), name="part_1")
    return keras.Sequential([keras.Input((SIZE,)), layers.Reshape((2, SIZE // 2)), rows, layers.Flatten()])


@pytest.mark.parametrize("build", [blocks, without_its_top, of_layers_in_layers])
def test_a_copy_takes_the_task_state_of_its_model(build):
    """As `from_preset` and `keras.saving.load_model` make one: a state that was kept must fit after a restart."""
    x, _ = problem()
    model = learner("MAML", build())
    again = type(model).from_config(model.get_config())
    again.set_weights(model.get_weights())
    state = model.adapt(x["support_x"], x["support_y"])
    first = "part_1/own/sequential/dense" if build is of_layers_in_layers else "part_1"
    assert {f"{first}/kernel", f"{first}/bias", "head/kernel"} < set(state)
    assert set(again.state_signature()) == set(state) and ("norm_2/support_mean" in state) == (build is blocks)
    np.testing.assert_array_equal(again.predict_with(state, x["query_x"]), model.predict_with(state, x["query_x"]))


@pytest.mark.parametrize("method", ["MAML", "MetaSGD", "ANIL"])
def test_two_branches_have_the_right_outer_gradient(method):
    keras.config.set_dtype_policy("float64")
    try:
        keras.utils.set_random_seed(0)
        x, y = problem()
        x = {name: tf.cast(value, tf.float64) if "x" in name else value for name, value in x.items()}
        model = learner(method, twins(smooth))
        step = tf.function(model.compute_gradients, autograph=False)
        _, _, gradients = step(x, y)
        check_gradients(lambda: step(x, y)[0], model.trainable_variables, gradients, rtol=1e-5, atol=1e-8)
    finally:
        keras.config.set_dtype_policy("float32")


def test_normalizations_of_one_path_keep_statistics_of_their_own():
    model = learner("MAML", twins(lambda name: zoo.backbones.mlp((SIZE,), (4,), batch_norm=True, name=name)))
    x, _ = problem()
    state = model.adapt(x["support_x"], x["support_y"])
    means = [value for name, value in state.items() if "support_mean" in name]
    assert len(means) == 2 and np.abs(means[0] - means[1]).max() > 0.1
    alone = [model.predict_with(state, x["query_x"][:, i : i + 1]) for i in range(6)]
    np.testing.assert_allclose(tf.concat(alone, axis=1), model.predict_with(state, x["query_x"]), rtol=1e-4, atol=1e-5)


def test_weights_of_two_models_have_names_of_their_own_too():
    """`a/b_c` and `a_b/c` are the same once a slash is an underscore."""
    inputs = keras.Input((SIZE,))
    a = keras.Sequential([keras.Input((SIZE,)), layers.Dense(2, name="b_kernel", use_bias=False)], name="left")
    b = keras.Sequential([keras.Input((SIZE,)), layers.Dense(2, name="b_kernel", use_bias=False)], name="right")
    backbone = keras.Model(inputs, layers.Add()([a(inputs), b(inputs)]))
    names = [v.name for v in learner("MetaSGD", backbone).trainable_variables if v.name.startswith("alpha")]
    moments = [v.name for v in learner("Reptile", backbone).variables if v.name.startswith("second_moment")]
    assert len(set(names)) == len(names) == 4 and len(set(moments)) == len(moments) == 4


@pytest.mark.parametrize("method", ["MAML", "ANIL", "Reptile"])
def test_weights_that_are_made_later_are_refused(method):
    backbone = keras.Sequential([keras.Input((SIZE,)), layers.Dense(2, name="body")])
    model = learner(method, backbone)
    layer = model.head_layer() if method == "ANIL" else backbone.get_layer("body")
    layer.enable_lora(1)
    with pytest.raises(
        ValueError, match="^The weights must be those that the network had .* Received: .*lora.*, made later$"
    ):
        model.initial_weights()


# ---- layers that are not trainable


def half_frozen():
    frozen = keras.Sequential(
        [keras.Input((SIZE,)), layers.Dense(4, name="frozen"), zoo.BatchNorm("running", name="frozen_norm")],
        name="body",
    )
    frozen.layers[-1].moving_mean.assign([0.5, -0.5, 0.25, 0.0])
    frozen.layers[-1].moving_variance.assign([0.5, 2.0, 3.0, 4.0])
    frozen.trainable = False
    return keras.Sequential([keras.Input((SIZE,)), frozen, layers.ReLU(), layers.Dense(4, "relu", name="free")])


@pytest.mark.parametrize("method", LEARNERS)
def test_frozen_layers_stay_what_they_are(method):
    """Weights and averages: a step towards the support set through them, and answers, are those of their given values."""
    model = learner(method, half_frozen())
    x, y = problem()
    before = [variable.numpy() for variable in model.network.non_trainable_variables]
    assert len(before) == 6 and len(model.network.trainable_variables) == 4
    state = model.adapt(x["support_x"], x["support_y"])
    assert not any("frozen" in name for name in state)
    # By hand: the same method on what the frozen layers make of the inputs.
    body = model.backbone.layers[0]
    rows = x["support_x"][0]
    np.testing.assert_array_equal(body(rows), body(rows, training=True))
    tail = keras.Sequential([keras.Input((4,)), layers.ReLU(), layers.Dense(4, "relu", name="free")])
    alone = learner(method, tail)
    for variable, value in zip(alone.trainable_variables, model.trainable_variables):
        variable.assign(value)
    seen = {name: tf.map_fn(body, value) if "x" in name else value for name, value in x.items()}
    np.testing.assert_allclose(model(x), alone(seen), rtol=1e-4, atol=1e-5)
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    model.train_on_batch(x, y)
    for variable, value in zip(model.network.non_trainable_variables, before):
        np.testing.assert_array_equal(variable, value, err_msg=variable.path)


@pytest.mark.parametrize("method", LEARNERS)
def test_a_frozen_backbone_leaves_the_head(method):
    backbone = half_frozen()
    backbone.trainable = False
    model = learner(method, backbone)
    x, y = problem()
    assert [variable.path for variable in model.fast_variables()] == ["head/kernel", "head/bias"]
    before = np.asarray(backbone(x["query_x"][0]))
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    model.fit(x, y, epochs=2, verbose=0)
    np.testing.assert_array_equal(backbone(x["query_x"][0]), before)
    again = type(model).from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(x), model(x))


@pytest.mark.parametrize("method", ["MAML", "MetaSGD", "Reptile", "LSTMMetaLearner"])
def test_a_backbone_that_is_frozen_later_trains_the_head_and_is_saved(method, tmp_path):
    """What a method keeps for each weight, rates of Meta-SGD or moments of Reptile's Adam, is there for the frozen ones too."""
    model = learner(method, keras.Sequential([keras.Input((SIZE,)), layers.Dense(4, "relu", name="body")]))
    model.backbone.trainable = False
    x, y = problem()
    model.compile(keras.optimizers.SGD(0.1))
    body, head = model.backbone.get_weights(), model.head_layer().get_weights()
    model.train_step((x, y))
    assert np.abs(head[0] - model.head_layer().get_weights()[0]).max() > 0
    np.testing.assert_array_equal(model.backbone.get_weights()[0], body[0])
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(x), model(x))


def test_a_weight_without_a_rate_is_refused():
    backbone = keras.Sequential([keras.Input((SIZE,)), layers.Dense(4, "relu", name="body")])
    with pytest.raises(
        ValueError, match=r"^`rates_of` must be a list of numbers of weights, from 0 to 3. Received: rates_of=\[4\]$"
    ):
        learner("MetaSGD", backbone, rates_of=[4])
    backbone.trainable = False
    model, (x, _) = learner("MetaSGD", backbone), problem()
    backbone.trainable = True
    with pytest.raises(
        ValueError, match="must be among those with an alpha, .'head/kernel', .* Received: .*body/kernel$"
    ):
        model.adapt(x["support_x"], x["support_y"])


def test_a_norm_that_becomes_trainable_is_refused():
    model, (x, y) = learner("MAML", half_frozen()), problem()
    model.backbone.layers[0].trainable = True
    message = "needs a backbone whose BatchNorm has statistics='batch', or 'frozen'. Received: frozen_norm"
    with pytest.raises(ValueError, match=message):
        model.compute_gradients(x, y)


# ---- Keras' normalization


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("kind", ["batch", "layer", "group"])
@pytest.mark.parametrize("method", LEARNERS)
def test_keras_normalization_is_refused_with_the_way_out(method, kind, wrap):
    """Trained through it and asked, a method would be wrong without a word; once replaced it is right."""
    backbone = normalized(kind, wrap)
    statistics = "running" if method == "LSTMMetaLearner" else "batch"
    message = rf"replace_normalization\(backbone, statistics='{statistics}'\). Received: layer {kind}"
    with pytest.raises(ValueError, match=message) as error:
        learner(method, backbone)
    assert "\n" not in str(error.value)
    x, _ = problem()
    assert np.isfinite(learner(method, zoo.replace_normalization(backbone, statistics))(x)).all()


@pytest.mark.parametrize("kind", ["batch", "layer", "group"])
@pytest.mark.parametrize("method", ["MAML", "ANIL", "MetaSGD"])
def test_the_outer_gradient_is_right_once_replaced(method, kind):
    keras.config.set_dtype_policy("float64")
    try:
        keras.utils.set_random_seed(1)
        x, y = problem()
        x = {name: tf.cast(value, tf.float64) if "x" in name else value for name, value in x.items()}
        parts = [keras.Input((SIZE,)), layers.Dense(4), norm(kind), layers.Activation("tanh")]
        model = learner(method, zoo.replace_normalization(keras.Sequential(parts), "batch"))
        step = tf.function(model.compute_gradients, autograph=False)
        _, _, gradients = step(x, y)
        check_gradients(lambda: step(x, y)[0], model.trainable_variables, gradients, rtol=1e-4, atol=1e-8)
    finally:
        keras.config.set_dtype_policy("float32")


def test_metric_based_methods_take_either_and_name_the_mode():
    backbone = normalized("batch")
    model = zoo.PrototypicalNetwork(backbone)
    x, y = problem()
    model.compile(optimizer="sgd")
    model.fit(x, y, epochs=2, verbose=0)  # moves the averages
    replaced = zoo.PrototypicalNetwork(zoo.replace_normalization(backbone, "running"))
    np.testing.assert_allclose(replaced(x), model(x), rtol=1e-5, atol=1e-6)
    assert model.batch_norm_mode == replaced.batch_norm_mode == "running" and not model.transductive
    assert zoo.PrototypicalNetwork(normalized("layer")).batch_norm_mode == "none"


# ---- what inner steps would leave out


@keras.saving.register_keras_serializable("tests")
class RunningCenter(layers.Layer):
    """A layer of one's own with a moving average."""

    def build(self, shape):
        self.center = self.add_weight(name="center", shape=shape[1:], initializer="zeros", trainable=False)

    def call(self, x, training=False):
        if training:
            self.center.assign(0.9 * self.center + 0.1 * tf.reduce_mean(x, axis=0))
        return x - self.center


@pytest.mark.parametrize(
    "layer, message",
    [
        (
            lambda: layers.SpectralNormalization(layers.Dense(4), name="wrong"),
            "wrong, whose `vector_u` training changes",
        ),
        (lambda: RunningCenter(name="wrong"), "wrong, whose `center` training changes"),
    ],
    ids=["spectral", "own"],
)
@pytest.mark.parametrize("method", LEARNERS)
def test_state_that_would_never_move_is_refused(method, layer, message):
    backbone = keras.Sequential([keras.Input((SIZE,)), layers.Dense(4), layer()])
    message = f"^{method} adapts by gradients, and moves no state of layers but that of zoo.BatchNorm. Received: layer {message}$"
    with pytest.raises(ValueError, match=message):
        learner(method, backbone)


def test_state_that_training_leaves_alone_is_taken():
    normalization = layers.Normalization(mean=[0.5] * SIZE, variance=[2.0] * SIZE)
    x, _ = problem()
    assert np.isfinite(learner("MAML", keras.Sequential([keras.Input((SIZE,)), normalization]))(x)).all()


@pytest.mark.parametrize("constraint", ["kernel_constraint", "bias_constraint"])
@pytest.mark.parametrize("method", LEARNERS)
def test_constraints_of_weights_that_inner_steps_change_are_refused(method, constraint):
    """ANIL's inner steps change the head alone; the optimizer's step keeps the constraints of its body."""
    wrong = layers.Dense(4, name="wrong", **{constraint: keras.constraints.MaxNorm(0.5)})
    backbone = keras.Sequential([keras.Input((SIZE,)), keras.Sequential([keras.Input((SIZE,)), wrong])])
    if method == "ANIL":
        (x, y), model = problem(), learner(method, backbone)
        model.compile(keras.optimizers.SGD(10.0))
        model.train_on_batch(x, y)
        norms = np.linalg.norm(wrong.kernel if constraint == "kernel_constraint" else wrong.bias, axis=0)
        assert norms.max() < 0.51
        return
    name = constraint.partition("_")[0]
    message = f"inner steps apply no constraint. Received: layer wrong, whose `{name}` has MaxNorm$"
    with pytest.raises(ValueError, match=f"^{method} adapts by gradients, and its {message}"):
        learner(method, backbone)


# ---- random layers


def dropping(seed=None):
    """Half of the inputs, doubled: what is dropped shows in the features."""
    inputs = keras.Input((SIZE,))
    return keras.Model(inputs, layers.Dropout(0.5, seed=seed)(inputs))


class Masks:
    """Records the features that the head of a model sees in training, call by call."""

    def __init__(self, model, monkeypatch):
        self.calls, original = [], model.call_network

        def recorded(network, values, x, training):
            outputs = original(network, values, x, training)
            if network is model.head_layer():  # of ANIL, whose body ran before
                return outputs
            features = model.backbone.stateless_call(
                [], model._seeds.values(model.backbone.variables), x, training=True
            )
            self.calls.append(np.asarray(features[0]) == 0)
            return outputs

        monkeypatch.setattr(model, "call_network", recorded)


@pytest.mark.parametrize("method", LEARNERS)
def test_every_step_task_and_inner_step_draws_a_mask_of_its_own(method, monkeypatch):
    """On equal tasks of ones, run eagerly: 2 training steps of 2 tasks with 2 inner steps and a query call each.

    ANIL's body sees a task's support rows once, and its queries.
    """
    ones = tf.ones([2, 6, SIZE])
    x, y = {"support_x": ones, "support_y": problem()[1], "query_x": ones}, problem()[1]
    model = learner(method, dropping())
    masks = Masks(model, monkeypatch)
    for _ in range(2):
        model.compute_gradients(x, y)
    distinct = {mask.tobytes() for mask in masks.calls}
    assert len(masks.calls) == len(distinct) == 2 * 2 * (2 if method == "ANIL" else 3)
    assert 0.3 < np.mean(masks.calls) < 0.7


@pytest.mark.parametrize("method", LEARNERS)
def test_masks_change_from_step_to_step_and_follow_the_seed(method):
    """The first training losses of a model whose learning rate is 0: alike for a seed, and all different in a run."""
    x, y = problem()
    runs = []
    for seed in (0, 0, 1):
        keras.utils.set_random_seed(seed)
        hidden = [keras.Input((SIZE,)), layers.Dense(8, "relu", kernel_initializer="ones"), layers.Dropout(0.5)]
        model = learner(method, keras.Sequential(hidden), head_initializer="ones")
        step = tf.function(model.compute_gradients, autograph=False)
        runs.append([float(step(x, y)[0]) for _ in range(3)])
    assert len(set(runs[0])) == 3 and runs[0] == runs[1] and runs[0] != runs[2]


@pytest.mark.parametrize("method", LEARNERS)
def test_inference_draws_nothing(method):
    x, _ = problem()
    keras.utils.set_random_seed(0)
    model = learner(method, keras.Sequential([keras.Input((SIZE,)), layers.Dense(4), layers.Dropout(0.9)]))
    plain = learner(method, keras.Sequential([keras.Input((SIZE,)), layers.Dense(4)]))
    for variable, value in zip(plain.trainable_variables, model.trainable_variables):
        variable.assign(value)
    seeds = [v.numpy() for v in model.non_trainable_variables if "seed" in v.path]
    assert len(seeds) == 1
    np.testing.assert_allclose(model(x), plain(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(seeds[0], [v.numpy() for v in model.non_trainable_variables if "seed" in v.path][0])


def test_replicas_draw_masks_of_their_own(mirrored):
    """Two replicas with one task each see what one device with two tasks sees."""
    x, y = problem()
    weights = []
    for scope in (tf.distribute.get_strategy(), mirrored):
        with scope.scope():
            keras.utils.set_random_seed(0)
            model = learner(
                "MAML", keras.Sequential([keras.Input((SIZE,)), layers.Dense(8), layers.Dropout(0.5, seed=1)])
            )
            model.compile(optimizer=keras.optimizers.SGD(0.5))
            model.optimizer.build(model.trainable_variables)
        model.fit(x, y, batch_size=2, epochs=2, shuffle=False, verbose=0)
        weights.append([variable.numpy() for variable in model.trainable_variables])
    for one, two in zip(*weights):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
