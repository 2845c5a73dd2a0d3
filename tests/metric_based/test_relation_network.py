import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors

MAP_SHAPE = (5, 5, 2)


def identity_model(map_shape=MAP_SHAPE, seed=0, way=3, statistics="batch", **options):
    """On images that are maps already, with weights far from their start."""
    inputs = keras.Input(map_shape)
    backbone = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    model = zoo.RelationNetwork(backbone, way=way, statistics=statistics, **options)
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if "moving" not in variable.path:
            variable.assign(rng.standard_normal(variable.shape))
    return model


def small_model(statistics="batch", **options):
    keras.utils.set_random_seed(0)
    backbone = zoo.backbones.relation_encoder(descriptors.IMAGE_SHAPE, filters=4, statistics=statistics)
    return zoo.RelationNetwork(backbone, **{"way": 3, "statistics": statistics, **options})


# ---- the reference: one task, float64, every pair of a class and a query written out


def reference_conv(images, kernel, padding):
    if padding == "same":
        images = np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)])
    height, width = images.shape[1] - 2, images.shape[2] - 2
    patches = (images[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3))
    return sum(patches)


def reference_block(x, norm):
    """BatchNorm by the statistics of the batch, ReLU, max-pool 2 where there is more than one pixel."""
    x = (x - x.mean(axis=(0, 1, 2))) / np.sqrt(x.var(axis=(0, 1, 2)) + norm.epsilon)
    x = np.maximum(x * norm.gamma.numpy() + norm.beta.numpy(), 0)
    size = min(2, x.shape[1])
    count = x.shape[1] // size
    x = x[:, : count * size, : count * size].reshape(len(x), count, size, count, size, -1)
    return x.max(axis=(2, 4))


def reference_relations(model, support, labels, queries):
    """r [Q, way]."""
    first = np.concatenate([model.class_conv.kernel.numpy(), model.query_conv.kernel.numpy()], axis=2)
    layer = model.relation.get_layer
    reduce = {"sum": np.sum, "mean": np.mean}[model.reduce]
    class_maps = [reduce(support[labels == n], axis=0) for n in range(model.way)]
    pairs = np.stack([np.concatenate([c, q], axis=-1) for q in queries for c in class_maps])
    x = reference_block(reference_conv(pairs, first.astype(np.float64), model.padding), layer("relation_norm_1"))
    second = layer("relation_conv_2").kernel.numpy().astype(np.float64)
    x = reference_block(reference_conv(x, second, model.padding), layer("relation_norm_2"))
    x = x.reshape(len(x), -1)
    for name in ("relation_dense_1", "relation_dense_2"):
        x = x @ layer(name).kernel.numpy().astype(np.float64) + layer(name).bias.numpy()
        x = np.maximum(x, 0) if name == "relation_dense_1" else 1 / (1 + np.exp(-x))
    return x.reshape(len(queries), model.way)


@pytest.mark.parametrize(
    "map_shape, options",
    [
        ((5, 5, 2), {}),
        ((5, 5, 2), {"reduce": "mean"}),
        ((2, 2, 2), {}),
        ((10, 10, 2), {"padding": "valid"}),
    ],
    ids=["paper", "mean", "small", "valid"],
)
def test_relations_against_a_numpy_reference(map_shape, options):
    """With the class map and the query's in one tensor, as the paper has them; the model never builds it."""
    model = identity_model(map_shape, **options)
    x, y = descriptors.episode(num_tasks=2, shot=2, query=2, image_shape=map_shape)
    logits = model(x)
    for task in range(2):
        support, queries = (x[name][task].numpy().astype(np.float64) for name in ("support_x", "query_x"))
        r = reference_relations(model, support, x["support_y"][task].numpy(), queries)
        np.testing.assert_allclose(tf.exp(logits[task]), r, rtol=1e-5, atol=1e-5)


def test_the_split_convolution_is_that_of_the_concatenated_maps():
    model = identity_model()
    rng = np.random.default_rng(1)
    class_maps, query_maps = (tf.constant(rng.random((n, *MAP_SHAPE)), tf.float32) for n in (3, 4))
    kernel = tf.concat([model.class_conv.kernel, model.query_conv.kernel], axis=2)
    for q in range(4):
        pairs = tf.concat([class_maps, tf.repeat(query_maps[q : q + 1], 3, axis=0)], axis=-1)
        together = tf.nn.conv2d(pairs, kernel, strides=1, padding="SAME")
        split = model.class_conv(class_maps) + model.query_conv(query_maps[q : q + 1])
        np.testing.assert_allclose(split, together, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "input_shape, padding, map_size, features",
    [((28, 28, 1), "same", 5, 64), ((84, 84, 3), "valid", 19, 576)],
    ids=["Omniglot 5-2-1", "miniImageNet 19-17-8-6-3"],
)
def test_sizes_of_the_paper(input_shape, padding, map_size, features):
    model = zoo.RelationNetwork(zoo.backbones.relation_encoder(input_shape), way=5, padding=padding)
    assert model.state_signature()["class_maps"].shape == (5, map_size, map_size, 64)
    assert model.relation.get_layer("relation_dense_1").kernel.shape == (features, 8)
    assert model.class_conv.kernel.shape == model.query_conv.kernel.shape == (3, 3, 64, 64)


def test_weights_start_as_the_authors_do():
    model = zoo.RelationNetwork(zoo.backbones.relation_encoder(), way=5)
    convs = [model.backbone.get_layer(f"conv_{i}") for i in (2, 3, 4)] + [model.class_conv, model.query_conv]
    for conv in convs:
        np.testing.assert_allclose(np.std(conv.kernel), np.sqrt(2 / (9 * 64)), rtol=0.03, err_msg=conv.name)
    dense = model.relation.get_layer("relation_dense_1")
    np.testing.assert_allclose(np.std(dense.kernel), 0.01, rtol=0.2)
    assert (dense.bias.numpy() == 1).all()


# ---- scores and loss


def test_answers_are_relations_in_proportion():
    """log r as logits: the highest relation wins, and softmax gives r_n / (sum of r)."""
    model = identity_model()
    x, _ = descriptors.episode(num_tasks=1, image_shape=MAP_SHAPE)
    logits = model(x)
    state = model.adapt(x["support_x"], x["support_y"])
    r = tf.sigmoid(model.relate(state["class_maps"], x["query_x"])[0])
    assert (tf.reduce_sum(r, axis=-1).numpy() != 1).all()
    np.testing.assert_allclose(tf.nn.softmax(logits[0]), r / tf.reduce_sum(r, axis=-1, keepdims=True), rtol=1e-5)
    np.testing.assert_array_equal(tf.argmax(logits[0], axis=-1), tf.argmax(r, axis=-1))


def test_training_takes_squared_errors_and_evaluation_cross_entropy():
    model = small_model()
    x, y = descriptors.episode(num_tasks=2)
    r = np.exp(model(x, training=True))
    expected = ((r - np.eye(3)[y.numpy()]) ** 2).mean()
    np.testing.assert_allclose(model.compute_gradients(x, y)[0], expected, rtol=1e-5)
    model.compile()
    r = np.exp(model(x))
    p = np.take_along_axis(r / r.sum(axis=-1, keepdims=True), y.numpy()[..., None], axis=-1)
    logs = model.evaluate(x, y, batch_size=2, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["loss"], -np.log(p).mean(), rtol=1e-4)


def test_padded_queries_and_absent_classes_cost_nothing():
    model = small_model(statistics="running")
    x, y = descriptors.episode(num_tasks=1)
    x["support_y"] = tf.where(x["support_y"] == 1, tf.constant(-1, tf.int64), x["support_y"])
    y = tf.where(y == 1, tf.constant(-1, tf.int64), y)
    logits = model(x)
    loss = tf.reduce_mean(model.task_objective(y, logits))
    errors = ((np.exp(logits[0]) - np.eye(3)[y[0].numpy()]) ** 2)[y[0].numpy() >= 0]
    assert (errors[:, 1] == 0).all()
    np.testing.assert_allclose(loss, errors.mean(), rtol=1e-5)


def test_cross_entropy_is_the_other_loss():
    model = small_model(loss="cross_entropy")
    x, y = descriptors.episode(num_tasks=2)
    logits = model(x, training=True)
    loss, _, gradients = model.compute_gradients(x, y)
    np.testing.assert_allclose(
        loss, keras.losses.sparse_categorical_crossentropy(y, logits, True).numpy().mean(), rtol=1e-5
    )
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)


def test_the_gradient_is_taken_through_support_and_queries():
    model = identity_model(way=3)
    x, y = descriptors.episode(num_tasks=1, image_shape=MAP_SHAPE)
    with tf.GradientTape() as tape:
        tape.watch([x["support_x"], x["query_x"]])
        loss = model.compute_gradients(x, y)[0]
    for gradient in tape.gradient(loss, [x["support_x"], x["query_x"]]):
        assert (np.abs(gradient).max(axis=(0, 2, 3, 4)) > 0).all()


# ---- pitfalls


def test_a_sum_grows_with_the_shot_and_a_mean_does_not():
    x, _ = descriptors.episode(num_tasks=1, shot=1, image_shape=MAP_SHAPE)
    twice = {**x, "support_x": tf.repeat(x["support_x"], 2, axis=1), "support_y": tf.repeat(x["support_y"], 2, axis=1)}
    maps = {}
    for reduce in ("sum", "mean"):
        model = identity_model(reduce=reduce)
        maps[reduce] = [model.adapt(data["support_x"], data["support_y"])["class_maps"] for data in (x, twice)]
    np.testing.assert_allclose(maps["sum"][1], 2 * maps["sum"][0], rtol=1e-6)
    np.testing.assert_allclose(maps["mean"][1], maps["mean"][0], rtol=1e-6)
    np.testing.assert_allclose(maps["mean"][0], maps["sum"][0], rtol=1e-6)


def test_batch_statistics_are_transductive_and_running_ones_are_not():
    x, _ = descriptors.episode(num_tasks=1, query=3)
    for statistics, transductive in (("batch", True), ("running", False)):
        model = small_model(statistics=statistics)
        alone = model({**x, "query_x": x["query_x"][:, :1]})
        assert model.transductive == transductive
        assert np.allclose(alone, model(x)[:, :1], atol=1e-5) != transductive
    backbone = zoo.backbones.relation_encoder(descriptors.IMAGE_SHAPE, filters=4, statistics="running")
    assert zoo.RelationNetwork(backbone, way=3, statistics="batch").transductive  # by the relation module alone


def test_training_normalizes_by_all_images_of_a_step():
    model = small_model(statistics="running")
    x, _ = descriptors.episode(num_tasks=2, query=5)
    model(x, training=True)
    images = tf.concat([x["support_x"], x["query_x"]], axis=1)
    block = model.backbone.get_layer("block_1")
    expected = 0.1 * tf.reduce_mean(block.conv(tf.reshape(images, [-1, *descriptors.IMAGE_SHAPE])), axis=[0, 1, 2])
    np.testing.assert_allclose(block.norm.moving_mean, expected, rtol=1e-4)


def test_averages_can_be_left_aside_for_the_published_protocol():
    """evaluation="transductive" answers as the same weights without averages do, and moves no average."""
    model, by_averages, without = (
        identity_model(statistics=statistics, evaluation=evaluation)
        for statistics, evaluation in (("running", "transductive"), ("running", "running"), ("batch", "running"))
    )
    before = [v.numpy() for v in model.variables]
    x, _ = descriptors.episode(num_tasks=2, query=3, image_shape=MAP_SHAPE)
    assert model.transductive and model.batch_norm_mode == "transductive"
    np.testing.assert_allclose(model(x), without(x), rtol=1e-5, atol=1e-6)
    assert not np.allclose(model(x), by_averages(x), atol=1e-3)
    for variable, value in zip(model.variables, before):
        np.testing.assert_array_equal(variable, value, err_msg=variable.path)


@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_the_way_may_be_that_of_the_labels(statistics):
    model = small_model(statistics=statistics, way=None)
    named = small_model(statistics=statistics)
    x, _ = descriptors.episode(num_tasks=2)
    np.testing.assert_array_equal(model(x), named(x))
    x["support_y"] = tf.where(x["support_y"] == 2, tf.constant(-1, tf.int64), x["support_y"])
    assert model(x).shape[-1] == 2


def test_an_absent_class_leaves_the_statistics_alone():
    """Three ways of which one has no support answer as two ways do."""
    x, _ = descriptors.episode(num_tasks=1, image_shape=MAP_SHAPE)
    x["support_y"] = tf.where(x["support_y"] == 1, tf.constant(-1, tf.int64), x["support_y"])
    three = identity_model(way=3)(x)
    x["support_y"] = tf.where(x["support_y"] == 2, tf.constant(1, tf.int64), x["support_y"])
    two = identity_model(way=2)(x)
    np.testing.assert_allclose(tf.gather(three, [0, 2], axis=-1), two, rtol=1e-5, atol=1e-6)


def test_no_weight_depends_on_the_way():
    model = small_model()
    wider = zoo.RelationNetwork.from_config({**model.get_config(), "way": 7})
    wider.set_weights(model.get_weights())
    x, y = descriptors.episode(way=7)
    assert wider(x).shape == (2, y.shape[1], 7)


def test_bad_options_are_named():
    for option, value in (("reduce", "max"), ("loss", "hinge"), ("padding", "full"), ("evaluation", "all")):
        with pytest.raises(ValueError, match=f"`{option}` must be one of .* Received: {option}='{value}'"):
            small_model(**{option: value})
    with pytest.raises(ValueError, match="`backbone` must give maps"):
        zoo.RelationNetwork(zoo.backbones.conv4(descriptors.IMAGE_SHAPE, filters=4), way=3)
    with pytest.raises(ValueError, match="Maps must be at least 3 x 3"):
        identity_model((5, 5, 2), padding="valid")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
