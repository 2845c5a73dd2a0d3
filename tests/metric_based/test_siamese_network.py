import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from publishing import results
from tests import descriptors
from trainers import protocols
from zoo.core import episode
from zoo.datasets.sampler import ImageClasses
from zoo.metric_based.siamese_network import pair_labels, pair_losses


def identity_model(weights=(1.0, 1.0), bias=0.0, **options):
    """The embedding is the input itself."""
    inputs = keras.Input((2,))
    model = zoo.SiameseNetwork(keras.Model(inputs, keras.layers.Activation("linear")(inputs)), **options)
    model.similarity.kernel.assign(np.array(weights)[:, None])
    if model.use_bias:
        model.similarity.bias.assign([bias])
    return model


def small_model(**options):
    keras.utils.set_random_seed(0)
    return zoo.SiameseNetwork(zoo.backbones.mlp(descriptors.IMAGE_SHAPE, hidden_sizes=(6, 4)), way=3, **options)


def log_odds(model, query, support):
    """sum_j a_j |h_j(x1) - h_j(x2)| + b of two embeddings, in float64."""
    a = model.similarity.kernel.numpy().astype(np.float64)[:, 0]
    b = float(model.similarity.bias.numpy()[0]) if model.use_bias else 0.0
    return np.sum(a * np.abs(query - support)) + b


def test_similarities_and_decision_by_hand():
    """A class is as near as its nearest support image: class 0 here has a far one and a near one."""
    model = identity_model(weights=(-1.0, -2.0), bias=3.0)
    support_x = tf.constant([[[0.0, 9.0], [1.0, 1.0], [2.0, 0.0]]])
    state = model.adapt(support_x, tf.constant([[0, 0, 1]], tf.int64))
    logits = model.predict_with(state, tf.constant([[[1.0, 2.0]]]))
    np.testing.assert_allclose(logits, [[[3 - 2 * 1, 3 - 1 - 2 * 2]]], rtol=1e-6)
    assert state["labels"].numpy().tolist() == [[[1, 0], [1, 0], [0, 1]]]


def test_adaptation_and_prediction_against_a_numpy_reference():
    """The paper's p and its argmax in float64, pair by pair, from the weights of the network."""
    model = small_model()
    x, y = descriptors.episode(num_tasks=2, shot=3, query=2)

    def h(image):
        for index in (1, 2):
            layer = model.backbone.get_layer(f"dense_{index}")
            image = np.maximum(image @ layer.kernel.numpy().astype(np.float64) + layer.bias.numpy(), 0)
        return image

    expected = np.zeros((2, 6, 3))
    for task in range(2):
        for query, image in enumerate(x["query_x"].numpy().astype(np.float64)[task]):
            for label in range(3):
                rows = x["support_x"].numpy().astype(np.float64)[task][x["support_y"][task] == label]
                z = [log_odds(model, h(image.ravel()), h(row.ravel())) for row in rows]
                p = 1 / (1 + np.exp(-np.array(z)))
                expected[task, query, label] = p.max()
    logits = model(x).numpy()
    np.testing.assert_allclose(1 / (1 + np.exp(-logits.astype(np.float64))), expected, rtol=1e-5)
    np.testing.assert_array_equal(logits.argmax(axis=-1), expected.argmax(axis=-1))
    assert y.shape == logits.shape[:2]


def test_the_loss_is_binary_cross_entropy_with_half_of_its_weight_on_each_kind_of_pair():
    """Unequal counts and padded rows, in a loop over pairs in float64."""
    model = small_model()
    x, _ = descriptors.episode(num_tasks=2, shot=2, query=2)
    x["support_y"] = tf.constant([[0, 1, 2, 0, 0, 1], [-1, 1, 1, 0, -1, 2]], tf.int64)
    y = tf.constant([[0, 0, 1, 2, 2, -1], [1, 2, -1, -1, 0, 1]], tf.int64)
    loss, logits, _ = model.compute_gradients(x, y)
    support, queries = (model.embed(x[part]).numpy().astype(np.float64) for part in ("support_x", "query_x"))
    expected = []
    for task in range(2):
        losses = {True: [], False: []}
        for query, query_label in zip(queries[task], y.numpy()[task]):
            for row, label in zip(support[task], x["support_y"].numpy()[task]):
                if min(query_label, label) >= 0:
                    p = 1 / (1 + np.exp(-log_odds(model, query, row)))
                    losses[query_label == label].append(-np.log(p if query_label == label else 1 - p))
        expected.append(0.5 * np.mean(losses[True]) + 0.5 * np.mean(losses[False]))
    np.testing.assert_allclose(loss, np.mean(expected), rtol=1e-5)
    np.testing.assert_allclose(logits, model(x), rtol=1e-5)


def test_two_ways_and_one_shot_are_kochs_balanced_pairs():
    """Then the weighted loss is the plain mean over pairs, half of which are of one class."""
    pair_logits = tf.constant([[[0.3, -1.2], [0.8, 2.0]]])
    labels = tf.constant([[0, 1]], tf.int64)
    same = np.eye(2)
    p = 1 / (1 + np.exp(-pair_logits.numpy()[0].astype(np.float64)))
    expected = -np.mean(same * np.log(p) + (1 - same) * np.log(1 - p))
    np.testing.assert_allclose(pair_losses(pair_logits, pair_labels(labels, labels)), [expected], rtol=1e-6)


def test_more_classes_do_not_drown_the_pairs_of_one_class():
    """With a plain mean, pairs that all look alike would be called different: 19 of 20 are. Here the best p is 0.5."""
    labels = tf.constant([np.arange(20)], tf.int64)
    bias = tf.Variable(0.0)
    with tf.GradientTape() as tape:
        loss = pair_losses(tf.zeros([1, 20, 20]) + bias, pair_labels(labels, labels))
    np.testing.assert_allclose(loss, [np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(loss, bias), 0, atol=1e-6)


@pytest.mark.parametrize("kind, label", [("same", 0), ("different", 1)])
def test_a_task_with_one_kind_of_pair_only_has_a_finite_loss(kind, label):
    support = tf.constant([[label]], tf.int64)
    losses = pair_losses(tf.zeros([1, 1, 1]), pair_labels(tf.constant([[0]], tf.int64), support))
    np.testing.assert_allclose(losses, [0.5 * np.log(2)], rtol=1e-6)
    padded = pair_losses(tf.zeros([1, 1, 1]), pair_labels(tf.constant([[-1]], tf.int64), support))
    assert padded.numpy() == 0


def test_the_penalty_is_a_lambda_per_layer_on_kernels_alone():
    model = small_model(l2={"dense_1": 0.5, "similarity": 0.01})
    plain = small_model()
    plain.set_weights(model.get_weights())
    kernels = (model.backbone.get_layer("dense_1").kernel, model.similarity.kernel)
    squares = [np.sum(np.square(kernel.numpy().astype(np.float64))) for kernel in kernels]
    x, y = descriptors.episode()
    difference = model.compute_gradients(x, y)[0] - plain.compute_gradients(x, y)[0]
    np.testing.assert_allclose(difference, 0.5 * squares[0] + 0.01 * squares[1], rtol=1e-5)
    by_penalty = [a - b for a, b in zip(model.compute_gradients(x, y)[2], plain.compute_gradients(x, y)[2])]
    expected = {kernels[0].path: 1.0 * kernels[0].numpy(), kernels[1].path: 0.02 * kernels[1].numpy()}
    for variable, difference in zip(model.trainable_variables, by_penalty):
        np.testing.assert_allclose(difference, expected.get(variable.path, np.zeros(variable.shape)), atol=1e-5)


def test_the_penalty_is_on_every_layer_of_a_name():
    """The two halves of a backbone come from one builder, so that their layers have the same names."""
    inputs = keras.Input((4,))
    halves = [zoo.backbones.mlp((4,), hidden_sizes=(3,), name=name) for name in ("left", "right")]
    backbone = keras.Model(inputs, keras.layers.Concatenate()([half(inputs) for half in halves]))
    model, plain = zoo.SiameseNetwork(backbone, l2={"dense_1": 0.5}), zoo.SiameseNetwork(backbone)
    plain.set_weights(model.get_weights())
    x, y = descriptors.episode(image_shape=(4,))
    difference = model.compute_gradients(x, y)[0] - plain.compute_gradients(x, y)[0]
    expected = 0.5 * sum(np.sum(np.square(half.get_layer("dense_1").kernel)) for half in halves)
    np.testing.assert_allclose(difference, expected, rtol=1e-4)


def test_evaluation_carries_no_penalty():
    x, y = descriptors.episode()
    model = small_model(l2={"dense_1": 100.0})
    model.compile()
    loss = model.evaluate(x, y, batch_size=2, verbose=0, return_dict=True)["loss"]
    np.testing.assert_allclose(loss, np.mean(episode.cross_entropy(y, model(x))), rtol=1e-5)


def test_verify_gives_the_probability_of_pairs():
    """Log odds 3 - |x1 - x2| - 2 |y1 - y2|: 3 for the same image, 3 - 1 - 4 = -2."""
    model = identity_model(weights=(-1.0, -2.0), bias=3.0)
    x1, x2 = np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([[1.0, 1.0], [2.0, 3.0]])
    expected = 1 / (1 + np.exp([-3, 2]))
    np.testing.assert_allclose(model.verify(x1, x2), expected, rtol=1e-6)
    np.testing.assert_allclose(model.verify(x2, x1), expected, rtol=1e-6)
    np.testing.assert_allclose(model.verify(x1[1], x2[1]), expected[1], rtol=1e-6)
    np.testing.assert_allclose(model.verify(x1[None], x2[None]), expected[None], rtol=1e-6)
    specs = [tf.TensorSpec([None, 2], tf.float32)] * 2
    graph = tf.function(model.verify, input_signature=specs)
    np.testing.assert_allclose(graph(tf.constant(x1, tf.float32), tf.constant(x2, tf.float32)), expected, rtol=1e-6)


def test_verify_agrees_with_the_answers_to_queries():
    model, (x, _) = small_model(), descriptors.episode(num_tasks=2, shot=1, query=1)
    state = model.adapt(x["support_x"], x["support_y"])
    p = model.verify(x["query_x"], tf.gather(x["support_x"], tf.argsort(x["support_y"]), batch_dims=1))
    diagonal = tf.linalg.diag_part(model.predict_with(state, x["query_x"]))
    np.testing.assert_allclose(p, tf.sigmoid(diagonal), rtol=1e-5)


@pytest.mark.parametrize(
    "x1, x2, name",
    [
        (np.zeros((3, 4)), np.zeros((3, 4)), "x1"),
        (np.zeros((3, 2)), np.zeros((4, 2)), "x2"),
        (np.zeros((3, 2), np.uint8), np.zeros((3, 2), np.uint8), "x1"),
    ],
)
def test_verify_names_what_it_cannot_compare(x1, x2, name):
    with pytest.raises(
        ValueError, match=rf"`{name}` must be float \[..., 2\], both of one shape. Received: dtype=.* shape="
    ):
        identity_model().verify(x1, x2)


def test_verification_accuracy_by_hand_in_training_and_evaluation():
    """Two pairs of one class, of which one is told, and four of two classes, of which two are; padding counts nowhere."""
    model = identity_model(weights=(-1.0, 0.0), bias=2.5)  # one class where the first numbers are nearer than 2.5
    x = {
        "support_x": tf.constant([[[0.0, 0.0], [4.0, 0.0], [8.0, 0.0], [0.0, 0.0]]]),
        "support_y": tf.constant([[0, 1, 2, -1]], tf.int64),
        "query_x": tf.constant([[[1.0, 0.0], [6.0, 0.0], [0.0, 0.0]]]),
    }
    # query 6 of class 0: far from its own, near to 4 and to 8; query 1 of class 0: near its own alone
    y = tf.constant([[0, 0, -1]], tf.int64)
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    for logs in (model.train_on_batch(x, y, return_dict=True), model.test_on_batch(x, y, return_dict=True)):
        np.testing.assert_allclose(logs["verification_accuracy"], (1 / 2 + 2 / 4) / 2, rtol=1e-6)
        model.reset_metrics()


def test_verification_accuracy_stands_in_results_and_in_the_table_of_a_card():
    images = np.random.default_rng(0).integers(0, 256, (60, 16, 16, 1), dtype=np.uint8)
    tasks = ImageClasses.from_labels(images, np.repeat(np.arange(6), 10), list("abcdef"))
    protocol = {"way": 3, "shot": 1, "query": 2, "overrides": {}}
    model = small_model()
    model.similarity.bias.assign([0.0])
    result = {"protocol": "3way", **protocols.evaluate_model(model, tasks, protocol, 8, 4, "test", 0)}
    mean, ci95 = result["additional"]["verification_accuracy"]
    assert 0.2 < mean < 0.8 and 0 < ci95 < 0.5
    rows = results.results_table([result]).splitlines()[2:]
    assert len(rows) == 2 and f"| verification accuracy | {100 * mean:.2f} ± {100 * ci95:.2f} % |" in rows[1]
    assert "additional" not in rows[0] + rows[1] and "presentations" not in result


def test_the_papers_formula_has_no_bias_and_cannot_be_sure_of_the_same_image():
    """Without b, an image has p = 0.5 with itself, whatever the weights."""
    x = {
        "support_x": tf.constant([[[1.0, 2.0], [5.0, 3.0]]]),
        "support_y": tf.constant([[0, 1]], tf.int64),
        "query_x": tf.constant([[[1.0, 2.0]]]),
    }
    without, with_bias = identity_model(use_bias=False), identity_model(bias=2.5)
    assert len(without.trainable_variables) == 1 and len(with_bias.trainable_variables) == 2
    assert tf.sigmoid(without(x))[0, 0, 0] == 0.5
    np.testing.assert_allclose(with_bias(x)[0, 0, 0], 2.5)


def test_the_last_layer_starts_as_the_paper_says():
    """Fully connected weights from N(0, 0.2) and not 0.01 as in two popular ports, the bias from N(0.5, 0.01)."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4096,))
    model = zoo.SiameseNetwork(keras.Model(inputs, keras.layers.Activation("linear")(inputs)))
    weights = model.similarity.kernel.numpy()
    assert abs(weights.std() - 0.2) < 0.01 and abs(weights.mean()) < 0.02
    assert abs(model.similarity.bias.numpy()[0] - 0.5) < 0.05
    small = identity_model(similarity_initializer="zeros")
    assert type(small).from_config(small.get_config()).similarity.kernel.numpy().tolist() == [[0], [0]]


def test_twins_share_their_weights_and_p_is_symmetric():
    model = small_model()
    a, b = tf.random.stateless_uniform([2, 1, 5, *descriptors.IMAGE_SHAPE], [0, 0])
    one, other = (model.similarity_logits(model.embed(p), model.embed(q)) for p, q in ((a, b), (b, a)))
    np.testing.assert_allclose(one, tf.transpose(other, [0, 2, 1]), rtol=1e-6)


def test_pairs_across_alphabets_are_the_easy_ones():
    """Four alphabets of two letters: a network that sees the alphabet alone has pairs across right, within none."""
    rng = np.random.default_rng(0)
    images = (np.repeat(80 * np.arange(4), 20) + rng.integers(0, 15, 80)).astype(np.uint8).reshape(80, 1, 1, 1)
    letters = ImageClasses.from_labels(images, np.repeat(np.arange(8), 10), list("abcdefgh"), list("wwxxyyzz"))
    inputs = keras.Input((1, 1, 1))
    model = zoo.SiameseNetwork(keras.Model(inputs, keras.layers.Flatten()(inputs)), way=2)
    model.similarity.set_weights([np.array([[-30.0]]), np.array([4.0])])
    losses = {}
    for within in (False, True):
        (x, y), *_ = letters.episodes(way=2, shot=1, query=1, num_tasks=300, seed=0, within_groups=within).take(1)
        losses[within] = float(model.compute_gradients(x, y)[0])
    assert losses[False] < 0.4 < np.log(2) < losses[True]


def test_a_model_answers_other_ways_than_it_was_trained_with():
    model = zoo.SiameseNetwork(zoo.backbones.conv4(descriptors.IMAGE_SHAPE, filters=4))
    for way in (2, 7):
        x, y = descriptors.episode(way=way)
        assert model(x).shape == (2, y.shape[1], way)


def test_training_normalizes_both_twins_in_one_batch():
    model = zoo.SiameseNetwork(zoo.backbones.mlp((2,), hidden_sizes=(2,), batch_norm=True, statistics="running"))
    model.backbone.get_layer("dense_1").kernel.assign(np.eye(2))
    x = {
        "support_x": tf.constant([[[1.0, 0.0], [3.0, 0.0]]]),
        "support_y": tf.constant([[0, 1]], tf.int64),
        "query_x": tf.constant([[[5.0, 0.0], [7.0, 0.0]]]),
    }
    model.compute_gradients(x, tf.constant([[0, 1]], tf.int64))
    np.testing.assert_allclose(model.backbone.get_layer("norm_1").moving_mean, [0.4, 0.0], rtol=1e-6)


@pytest.mark.parametrize(
    "l2, message",
    [
        ({"conv_9": 0.1}, "`l2` must name layers with a kernel, of .'dense_1', 'dense_2', 'similarity'.*'conv_9': 0.1"),
        ({"relu_1": 0.1}, "Received: 'relu_1': 0.1"),
        ({"dense_1": -1.0}, "`l2..dense_1..` must be a number of at least 0. Received: l2..dense_1..=-1.0"),
    ],
)
def test_bad_penalties_are_named(l2, message):
    with pytest.raises(ValueError, match=message):
        small_model(l2=l2)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
