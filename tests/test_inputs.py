"""What every method makes of the arrays that users have: it works with them, or says in one line what it wants."""

import json
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors
from tests.descriptors import WAY, episode

TOLERANCE = dict(rtol=1e-5, atol=1e-6)


@pytest.fixture(params=descriptors.params(descriptors.REPRESENTATIVES), scope="module")
def model(request):
    return descriptors.build(request.param)


def numpy_episode(dtype="float32", **options):
    x, y = episode(**options)
    return {key: value.numpy().astype(dtype if "x" in key else "int64") for key, value in x.items()}, y.numpy()


def test_adapt_and_predict_with_take_numpy_of_any_float_and_any_int(model):
    x, _ = episode(num_tasks=1)
    expected = model(x)
    arrays, _ = numpy_episode("float64", num_tasks=1)
    for labels in (
        arrays["support_y"].astype("uint8"),
        arrays["support_y"].astype("int32"),
        arrays["support_y"].tolist(),
    ):
        state = model.adapt(arrays["support_x"], labels)
        state = {name: value.numpy() for name, value in state.items()}
        np.testing.assert_allclose(model.predict_with(state, arrays["query_x"]), expected, **TOLERANCE)
    np.testing.assert_allclose(model(arrays), expected, **TOLERANCE)


@pytest.mark.parametrize(
    "part, change, message",
    [
        ("query_x", lambda x: x[0], "`query_x` must be float .T, rows, 16, 16, 1., tasks first. Received: .*shape="),
        ("query_x", lambda x: x[:1], "`query_x` must have the 2 tasks of `.*`. Received: shape="),
        ("query_x", lambda x: (255 * x).astype("uint8"), "`query_x` must be float .*Received: dtype=uint8"),
        ("support_x", lambda x: x[0], "`support_x` must be float .*tasks first"),
        ("support_x", lambda x: (255 * x).astype("uint8"), "`support_x` must be float .*Received: dtype=uint8"),
        ("support_y", lambda y: y[0], "`support_y` must be int64"),
        ("support_y", lambda y: y.astype("float32"), "`support_y` must be int64 .*Received: dtype=float32"),
    ],
    ids=[
        "query without tasks",
        "tasks",
        "uint8 query",
        "support without tasks",
        "uint8 support",
        "labels",
        "float labels",
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_one_line(model, part, change, message):
    x, _ = numpy_episode()
    state = model.adapt(x["support_x"], x["support_y"])
    changed = {**x, part: change(x[part])}
    with pytest.raises(ValueError, match=f"^{message}[^\n]*$"):
        if part == "query_x":
            model.predict_with(state, changed["query_x"])
        else:
            model.adapt(changed["support_x"], changed["support_y"])
    if part == "query_x":
        with pytest.raises(ValueError, match="`query_x` must"):
            model(changed)


def test_a_state_is_a_dict(model):
    x, _ = numpy_episode()
    state = list(model.adapt(x["support_x"], x["support_y"]).values())
    with pytest.raises(ValueError, match="`task_state` must be the dict that `adapt` returns. Received: list"):
        model.predict_with(state, x["query_x"])


def test_a_state_of_another_method_is_refused_in_one_line(model):
    x, _ = numpy_episode()
    with pytest.raises(
        ValueError, match="^`task_state` must have [^\n]*, as `adapt` of this model returns it. Received: [^\n]*$"
    ):
        model.predict_with({"theta": np.zeros([2, 3], "float32")}, x["query_x"])


def test_a_state_of_another_way_is_refused_by_name():
    few, many = (zoo.MAML(zoo.backbones.mlp((4,), hidden_sizes=(3,)), way=way) for way in (2, 3))
    state = many.adapt(np.zeros([1, 3, 4]), np.array([[0, 1, 2]]))
    with pytest.raises(
        ValueError, match=r"`task_state` must have `head/kernel` of shape \(None, 3, 2\), .* \(1, 3, 3\)$"
    ):
        few.predict_with(state, np.zeros([1, 2, 4]))


def test_fit_and_evaluate_take_labels_of_any_int_and_images_of_any_float(model):
    x, y = numpy_episode("float64", num_tasks=2)
    small = {**x, "support_y": x["support_y"].astype("uint8")}
    model.compile(run_eagerly=True)
    results = [
        model.evaluate(one_x, one_y, batch_size=2, verbose=0, return_dict=True)
        for one_x, one_y in ((x, y), (small, y.astype("uint8")), (small, y.astype("int32")))
    ]
    assert results[0] == results[1] == results[2]
    np.testing.assert_allclose(
        results[0]["accuracy"], np.mean(tf.argmax(model(x), axis=-1).numpy() == y), rtol=1e-6, atol=1e-6
    )
    assert model(x).shape == (2, 2 * WAY, WAY)


def _pixels():
    return zoo.backbones.pixels((4, 4, 1))


@pytest.mark.parametrize(
    "build, message",
    [
        (
            lambda: zoo.MAML(_pixels(), way=3, inner_learning_rate="0.1"),
            "`inner_learning_rate` must be a number of at least 0",
        ),
        (lambda: zoo.MAML(_pixels(), way=3, adapt_norm="false"), "`adapt_norm` must be True or False"),
        (lambda: zoo.MAML(_pixels(), way="3"), "`way` must be an int of at least 2"),
        (lambda: zoo.MAML(_pixels(), target_size=1.0), "`target_size` must be an int of at least 1"),
        (lambda: zoo.FOMAML(_pixels(), way=3, first_order=1), "`first_order` must be True or False"),
        (lambda: zoo.MetaSGD(_pixels(), way=3, num_inner_steps=0), "`num_inner_steps` must be an int of at least 1"),
        (
            lambda: zoo.MetaSGD(_pixels(), way=3, inner_learning_rate=(0.1,)),
            "`inner_learning_rate` must be .low, high.",
        ),
        (lambda: zoo.Reptile(_pixels(), way=3, inner_learning_rate="0.1"), "`inner_learning_rate` must be a number"),
        (lambda: zoo.Reptile(_pixels(), way=3, inner_batch=2.0), "`inner_batch` must be an int of at least 1"),
        (lambda: zoo.LSTMMetaLearner(_pixels(), way=3, inner_batch=0), "`inner_batch` must be an int of at least 1"),
        (lambda: zoo.LSTMMetaLearner(_pixels(), way=3, forget_bias=4.0), "`forget_bias` must be .low, high."),
        (
            lambda: zoo.MANN(_pixels(), way=3, usage_decay=1.5),
            "`usage_decay` must be a number of at least 0 and of at most 1",
        ),
        (lambda: zoo.MANN(_pixels(), way=3, memory_width="40"), "`memory_width` must be an int of at least 1"),
        (
            lambda: zoo.LSTMBaseline(_pixels(), way=3, controller_size=0),
            "`controller_size` must be an int of at least 1",
        ),
        (lambda: zoo.MatchingNetwork(_pixels(), scale="10"), "`scale` must be a number above 0"),
        (
            lambda: zoo.FullContextMatchingNetwork(_pixels(), num_processing_steps=1.5),
            "`num_processing_steps` must be an int",
        ),
        (lambda: zoo.SiameseNetwork(_pixels(), use_bias="no"), "`use_bias` must be True or False"),
        (lambda: zoo.SiameseNetwork(_pixels(), l2=0.1), "`l2` must be a dict"),
        (lambda: zoo.PrototypicalNetwork(_pixels(), way=True), "`way` must be an int of at least 2"),
        (
            lambda: zoo.RelationNetwork(zoo.backbones.relation_encoder((16, 16, 1)), hidden_size="8"),
            "`hidden_size` must be an int of at least 1",
        ),
        (
            lambda: zoo.PrototypicalNetwork(_pixels(), distance=tf.constant(2)),
            "`distance` must be one of .'squared_euclidean', 'cosine'.",
        ),
        (
            lambda: zoo.MAML(_pixels(), way=3, head_initializer="glorot"),
            "`head_initializer` must be a Keras initializer",
        ),
        (
            lambda: zoo.SiameseNetwork(_pixels(), similarity_initializer={}),
            "`similarity_initializer` must be a Keras initializer",
        ),
        (
            lambda: zoo.MetaNetwork(zoo.backbones.conv5((8, 8, 1), filters=2), way=3, initializer=0.1),
            "`initializer` must be a Keras initializer, its name or its config.",
        ),
        (
            lambda: zoo.MetaNetwork(zoo.backbones.conv5((8, 8, 1), filters=2), way=3, gradient_scale="7"),
            "`gradient_scale` must be a number above 0",
        ),
    ],
)
def test_arguments_of_a_wrong_type_are_named(build, message):
    with pytest.raises(ValueError, match=f"^{message}[^\n]* Received: [^\n]*$"):
        build()


@pytest.mark.parametrize(
    "build",
    [
        lambda: zoo.PrototypicalNetwork(_pixels(), way=np.int64(3), distance_scale=np.float32(0.5)),
        lambda: zoo.FullContextMatchingNetwork(_pixels(), projection_size=np.int64(2), scale=np.float64(3.0)),
        lambda: zoo.MANN(_pixels(), way=3, memory_slots=np.int64(8), memory_width=np.int32(4)),
        lambda: zoo.Reptile(_pixels(), way=3, inner_optimizer={"name": "adam", "beta_1": np.float32(0.5)}),
        lambda: zoo.MAML(_pixels(), way=3, inner_optimizer={"name": "momentum", "momentum": np.float32(0.5)}),
    ],
)
def test_configs_hold_plain_numbers_where_numpys_were_given(build):
    """Else the model is built and trained, and cannot be saved."""
    model = build()
    config = json.loads(json.dumps(model.get_config()))
    again = type(model).from_config(config).get_config()
    assert {**again, "backbone": None} == {**model.get_config(), "backbone": None}


@keras.saving.register_keras_serializable("tests")
class WithAnUnusedWeight(keras.layers.Layer):
    def build(self, input_shape):
        self.unused = self.add_weight(name="unused", shape=(2,), initializer="ones")
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], 5))

    def call(self, x):
        return tf.matmul(x, tf.convert_to_tensor(self.kernel))


def _with_embedding(dtype):
    inputs = keras.Input((4,), dtype=dtype)
    return keras.Model(inputs, keras.layers.Flatten()(keras.layers.Embedding(10, 3)(inputs)))


def _with_unused_weight():
    inputs = keras.Input((4,))
    return keras.Model(inputs, WithAnUnusedWeight()(inputs))


@pytest.mark.parametrize(
    "build",
    [lambda: _with_embedding("float32"), lambda: _with_embedding("int32"), _with_unused_weight],
    ids=["embedding", "embedding of ints", "unused weight"],
)
@pytest.mark.parametrize(
    "cls", [zoo.MAML, zoo.FOMAML, zoo.ANIL, zoo.MetaSGD, zoo.Reptile, zoo.LSTMMetaLearner, zoo.SiameseNetwork, zoo.MANN]
)
def test_tables_and_unused_weights_train(cls, build):
    """Rows that are looked up have a sparse gradient, and a weight that the loss does not see has none."""
    keras.utils.set_random_seed(0)
    model = cls(build(), way=WAY)
    ids = np.random.default_rng(0).integers(0, 10, (2, 6, 4)).astype("float32")
    labels = np.tile(np.arange(WAY), (2, 2))
    before = [variable.numpy() for variable in model.trainable_variables]
    model.compile(keras.optimizers.SGD(0.5))
    x = {"support_x": ids, "support_y": labels, "query_x": ids}
    assert np.isfinite(model.train_step((x, labels))["loss"]) and np.isfinite(model(x)).all()
    moved = {v.path for v, old in zip(model.trainable_variables, before) if np.abs(v - old).max() > 0}
    paths = {variable.path for variable in model.backbone.trainable_variables}
    assert paths - moved == {path for path in paths if path.endswith("unused")}


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
