import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors
from zoo.core.row_order import content_keys
from zoo.model_based import gradient_networks, meta_network, representation_losses, row_weights

WAY = 3


@pytest.fixture
def float64():
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy("float32")


def small_backbone(filters=2, image_shape=(5, 5, 1)):
    """Two blocks of Conv-5 on 5x5 images: 5-3-2 by pools that round up."""
    inputs = h = keras.Input(image_shape)
    for _ in range(2):
        h = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(h)
        h = keras.layers.ReLU()(h)
        h = keras.layers.MaxPool2D(2, padding="same")(h)
    return keras.Model(inputs, keras.layers.Flatten()(h))


def small_problem(seed=0, shot=2, **options):
    """A small model with random weights, fast ones as large as slow ones, and an episode of two tasks."""
    keras.utils.set_random_seed(seed)
    model = zoo.MetaNetwork(small_backbone(), WAY, **options)
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        variable.assign((0.3 if "learner" in variable.path else 0.5) * rng.standard_normal(variable.shape))
    x, y = descriptors.episode(num_tasks=2, shot=shot, seed=seed, image_shape=(5, 5, 1))
    dtype = keras.config.dtype_policy().compute_dtype
    return model, {key: tf.cast(value, dtype) if "x" in key else value for key, value in x.items()}, y


# ---- the reference, in float64, with gradients by central differences


def relu(values):
    return np.maximum(values, 0)


def conv(h, kernel):
    height, width = h.shape[1:3]
    padded = np.pad(h, [(0, 0), (1, 1), (1, 1), (0, 0)])
    return sum(padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3))


def pool(h):
    rows, height, width, channels = h.shape
    h = np.pad(h, [(0, 0), (0, height % 2), (0, width % 2), (0, 0)], constant_values=-np.inf)
    return h.reshape(rows, (height + 1) // 2, 2, (width + 1) // 2, 2, channels).max(axis=(2, 4))


def features_of(x, kernels, fast=None):
    for index, kernel in enumerate(kernels):
        x = pool(relu(conv(x, kernel)) + (relu(conv(x, fast[index])) if fast else 0))
    return x.reshape(len(x), -1)


def cross_entropies(logits, labels):
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]


def verification(keys, labels, w):
    """Mean over pairs of the cross-entropy of sigmoid(w |key - key'|) with "of one class"."""
    losses = []
    for i in range(len(keys)):
        for j in range(i):
            odds = w @ np.abs(keys[i] - keys[j])
            losses.append(np.log1p(np.exp(-odds if labels[i] == labels[j] else odds)))
    return np.mean(losses) if losses else 0.0


def contrastive(keys, labels):
    """Mean over the pairs of a chunk, margin 1."""
    losses = []
    for i in range(len(keys)):
        for j in range(i + 1, len(keys)):
            distance = np.sqrt(((keys[i] - keys[j]) ** 2).sum())
            losses.append(distance**2 if labels[i] == labels[j] else max(0, 1 - distance) ** 2)
    return np.mean(losses) if losses else 0.0


def numeric_gradient(loss, weights):
    """Gradient of loss(weights) by each array of a list, flat and joined."""
    gradient = []
    for array in weights:
        for index in np.ndindex(array.shape):
            value = array[index]
            array[index] = value + 1e-6
            above = loss(weights)
            array[index] = value - 1e-6
            gradient.append((above - loss(weights)) / 2e-6)
            array[index] = value
    return np.array(gradient)


def preprocess(g, k):
    tiny = np.abs(g) < np.exp(-k)
    log = np.log(np.where(tiny, 1, np.abs(g))) / k
    return np.stack([np.where(tiny, -1, log), np.where(tiny, np.exp(k) * g, np.sign(g))], axis=-1)


def mlp(layer, g, k):
    h = preprocess(g, k)
    for index, (kernel, bias) in enumerate(zip(layer.kernels, layer.biases)):
        h = h @ kernel.numpy().astype(np.float64) + bias.numpy()[:, 0]
        h = relu(h) if index < 2 else h
    return h[:, 0]


def lstm(layer, gradients, k):
    sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
    kernel, recurrent = (v.numpy().astype(np.float64) for v in (layer.kernel, layer.recurrent))
    units = len(recurrent)
    h = c = np.zeros((len(gradients[0]), units))
    for g in gradients:
        z = preprocess(g, k) @ kernel + h @ recurrent + layer.bias.numpy()[:, 0]
        i, f, candidate, o = (z[:, gate * units : (gate + 1) * units] for gate in range(4))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(candidate)
        h = sigmoid(o) * np.tanh(c)
    return (h @ layer.output_kernel.numpy().astype(np.float64) + layer.output_bias.numpy())[:, 0]


def split(flat, arrays):
    parts = np.split(flat, np.cumsum([array.size for array in arrays])[:-1])
    return [part.reshape(array.shape) for part, array in zip(parts, arrays)]


def reference(model, support_x, labels, query_x, chunks):
    """Keys, memory, fast weights of the task, and logits of one task. `chunks`: lists of row numbers."""
    load = lambda variables: [v.numpy().astype(np.float64) for v in variables]  # noqa: E731
    base = load([*model.backbone.weights, model.hidden.kernel, model.head.kernel])
    slow = load([*model.key_backbone.weights, model.key_hidden.kernel, model.key_head.kernel])
    scale = model.gradient_scale
    num_conv = sum(kernel.size for kernel in base[:-2])

    def logits_of(weights, rows):
        return relu(features_of(support_x[rows], weights[:-2]) @ weights[-2]) @ weights[-1]

    def representation_loss(weights, rows):
        if model.representation_loss == "pairwise":
            return contrastive(features_of(support_x[rows], weights[:-2]) @ weights[-2], labels[rows])
        if model.representation_loss == "verification":
            keys = features_of(support_x[rows], weights[:-2]) @ weights[-2]
            return verification(keys, labels[rows], model.key_similarity.kernel.numpy().astype(np.float64)[:, 0])
        return cross_entropies(logits_of(weights, rows), labels[rows]).mean()

    by_chunk = [
        numeric_gradient(lambda weights, rows=rows: representation_loss(weights, rows), slow) for rows in chunks
    ]
    conv_part = lstm(model.conv_task_learner, [g[:num_conv] for g in by_chunk], scale)
    dense_part = lstm(model.dense_task_learner, [g[num_conv : -slow[-1].size] for g in by_chunk], scale)
    task_weights = np.concatenate([conv_part, dense_part])

    def keys_of(x):
        fast = split(task_weights, slow[:-1])
        h = features_of(x, slow[:-2], fast[:-1])
        return h @ slow[-2] + h @ fast[-1]

    used = sorted(row for rows in chunks for row in rows)
    memory = []
    for row in used:
        g = numeric_gradient(
            lambda weights, row=row: cross_entropies(logits_of(weights, [row]), labels[[row]])[0], base
        )
        conv_part = mlp(model.conv_row_learner, g[:num_conv], scale)
        memory.append(np.concatenate([conv_part, mlp(model.dense_row_learner, g[num_conv:], scale)]))
    keys, memory, logits = keys_of(support_x[used]), np.stack(memory), []
    for x, r in zip(query_x, keys_of(query_x)):
        scores = np.exp(keys @ r / np.sqrt((keys**2).sum(axis=1) * (r**2).sum() + 1e-6))
        fast = split(scores / scores.sum() @ memory, base)
        h = features_of(x[None], base[:-2], fast[:-2])
        h = relu(h @ base[-2]) + relu(h @ fast[-2])
        logits.append((h @ base[-1] + h @ fast[-1])[0])
    return keys, memory, task_weights, np.stack(logits)


def in_turn(x, task, rows):
    """Rows as inference takes them: the first of every class, then the second; of a class, by the numbers of its images."""
    keys = content_keys(x["support_x"][task]).numpy()
    labels = x["support_y"][task].numpy()
    rank = {row: sum(labels[other] == labels[row] and keys[other] < keys[row] for other in rows) for row in rows}
    return sorted(rows, key=lambda row: (rank[row], labels[row]))


def check_against_reference(model, x, task, chunks):
    state = model.adapt(x["support_x"], x["support_y"])
    logits = model.predict_with(state, x["query_x"])[task].numpy()
    support_x, labels, query_x = (x[key][task].numpy() for key in ("support_x", "support_y", "query_x"))
    expected = reference(model, support_x.astype(np.float64), labels, query_x.astype(np.float64), chunks)
    used, seen = labels >= 0, np.isin(np.arange(WAY), labels)
    found = [state["keys"][task][used], state["memory"][task][used], state["task_weights"][task], logits[:, seen]]
    names = ("keys", "memory", "task_weights", "logits")
    for name, value, wanted in zip(names, found, [*expected[:3], expected[3][:, seen]]):
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-5, err_msg=name)
        assert np.abs(wanted).max() > 1e-2
    assert (logits[:, ~seen] < -1e8).all()


def split_rows(rows, sizes):
    return [list(part) for part in np.split(rows, np.cumsum(sizes)[:-1])]


CASES = [
    (1, 3, "cross_entropy", [1, 1, 1]),
    (1, 5, "cross_entropy", [1, 1, 1]),  # as many chunks as rows
    (2, 4, "cross_entropy", [2, 1, 2, 1]),
    (2, 2, "pairwise", [3, 3]),
    (2, 2, "verification", [3, 3]),
    (2, 5, "verification", [2, 2, 2]),  # a pair in each
]


@pytest.mark.parametrize("shot, num_chunks, loss, sizes", CASES)
def test_against_a_numpy_reference(shot, num_chunks, loss, sizes):
    """With features of scale e^3: the paper's e^7 multiplies the rounding errors of float32 too."""
    model, x, _ = small_problem(shot=shot, num_chunks=num_chunks, representation_loss=loss, gradient_scale=3.0)
    check_against_reference(model, x, 1, split_rows(in_turn(x, 1, range(3 * shot)), sizes))


def test_against_the_reference_with_the_features_of_the_paper(float64):
    """With padded rows between the others as well."""
    model, x, _ = small_problem(num_chunks=2)
    check_against_reference(model, x, 0, split_rows(in_turn(x, 0, range(6)), [3, 3]))
    x["support_y"] = tf.tensor_scatter_nd_update(x["support_y"], [[0, 1], [0, 4]], tf.constant([-1, -1], tf.int64))
    check_against_reference(model, x, 0, split_rows(in_turn(x, 0, [0, 2, 3, 5]), [2, 2]))


# ---- what is a constant


def query_loss(model, x, y):
    """Query loss of the first task."""
    state = model.adapt_task(x["support_x"][0], x["support_y"][0], training=True)
    return model.task_loss(y[:1], model.predict_task(state, x["query_x"][0], training=True)[None])[0]


def difference_quotients(model, x, y, directions):
    loss, quotients = tf.function(lambda: query_loss(model, x, y), autograph=False), []
    for variable, direction in zip(model.trainable_variables, directions):
        losses = []
        for shift in (1e-6, -2e-6, 1e-6):
            variable.assign_add(shift * direction)
            losses.append(float(loss()))
        quotients.append((losses[0] - losses[1]) / 2e-6)
    return np.array(quotients)


def test_gradients_that_m_and_d_see_are_constants(float64, monkeypatch):
    """The outer gradient is that of a loss whose support gradients are frozen, variable by variable, and not the full one."""
    model, x, y = small_problem()
    first = {key: value[:1] for key, value in x.items()}
    _, _, gradients = tf.function(model.compute_gradients, autograph=False)(first, y[:1])
    rng = np.random.default_rng(0)
    directions = [rng.standard_normal(variable.shape) for variable in model.trainable_variables]
    slopes = np.array([np.sum(gradient * direction) for gradient, direction in zip(gradients, directions)])
    full = difference_quotients(model, x, y, directions)

    compute, frozen = meta_network.row_gradients, {}

    def row_gradients(backbone, *arguments):
        if backbone.name not in frozen:
            frozen[backbone.name] = compute(backbone, *arguments)
        return frozen[backbone.name]

    monkeypatch.setattr(meta_network, "row_gradients", row_gradients)
    query_loss(model, x, y)  # eagerly: the frozen gradients are numbers
    assert sorted(frozen) == sorted([model.backbone.name, model.key_backbone.name])
    np.testing.assert_allclose(slopes, difference_quotients(model, x, y, directions), rtol=1e-4, atol=1e-8)

    slow = [any(variable is w for w in model.backbone.weights) for variable in model.trainable_variables]
    assert (np.abs(full - slopes)[slow] > 1e-3 * np.abs(slopes)[slow]).all()
    learners = ["learner" in variable.path for variable in model.trainable_variables]
    np.testing.assert_allclose(full[learners], slopes[learners], rtol=1e-4, atol=1e-8)  # m and d change no gradient


def test_the_softmax_layer_of_the_representation_is_never_trained_but_used():
    model, x, y = small_problem()
    assert not any(variable is model.key_head.kernel for variable in model.trainable_variables)
    with tf.GradientTape() as tape:
        tape.watch(model.key_head.kernel.value)
        loss = query_loss(model, x, y)
    assert tape.gradient(loss, model.key_head.kernel.value) is None
    before = model(x).numpy()
    model.key_head.kernel.assign(-model.key_head.kernel)
    assert np.abs(model(x) - before).max() > 1e-4


# ---- parts, by hand


def pixel_model():
    """One pixel, one 1x1 filter, one unit: every weight is a number. Both softmax layers are [1, -1]."""
    inputs = keras.Input((1, 1, 1))
    h = keras.layers.ReLU()(keras.layers.Conv2D(1, 1, padding="same", use_bias=False)(inputs))
    model = zoo.MetaNetwork(keras.Model(inputs, keras.layers.Flatten()(h)), way=2)
    for layer in (model.head, model.key_head):
        layer.kernel.assign([[1.0, -1.0]])
    return model


def test_layers_of_the_representation_by_hand():
    """ReLU of each and then the sum in the convolution; in the hidden layer the sum alone, which may be negative."""
    model = pixel_model()
    model.key_backbone.weights[0].assign([[[[2.0]]]])
    model.key_hidden.kernel.assign([[1.0]])
    pixel = tf.ones([1, 1, 1, 1])
    np.testing.assert_allclose(model.keys(pixel, tf.constant([-1.0, -3.0])), [[2 * (1 - 3)]])
    np.testing.assert_allclose(model.keys(pixel, tf.constant([4.0, -3.0])), [[(2 + 4) * (1 - 3)]])


def test_layers_of_the_base_learner_by_hand():
    """ReLU of each in convolution and hidden layer, the sum alone in the softmax layer; each row its own weights."""
    model = pixel_model()
    model.backbone.weights[0].assign([[[[2.0]]]])
    model.hidden.kernel.assign([[1.0]])
    fast = tf.constant([[-1.0, -3.0, 0.5, 0.5], [1.0, 2.0, 0.0, 1.0]])
    logits = model._base(tf.ones([2, 1, 1, 1]), fast)
    # row 1: h = 2, then 2 * 1 + 0; row 2: h = 2 + 1, then 3 * 1 + 3 * 2
    np.testing.assert_allclose(logits, [[2 * 1.5, 2 * -0.5], [9 * 1.0, 9 * 0.0]])


def test_gradient_features_by_hand():
    g = tf.constant([1.0, np.exp(-3.5), -np.exp(-3.5), np.exp(-8), -np.exp(-8), 0.0])
    expected = [[0, -0.5, -0.5, -1, -1, -1], [1, 1, -1, np.exp(-1), -np.exp(-1), 0]]
    np.testing.assert_allclose(gradient_networks.gradient_features(g, 7.0), expected, rtol=1e-5, atol=1e-6)


def test_verification_loss_by_hand():
    """Two chunks: rows 0, 1, 2 of classes 0, 0, 1, and row 3 alone. w = (-1, -2)."""
    keys, y = tf.constant([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0], [9.0, 9.0]]), tf.constant([0, 0, 1, 1], tf.int64)
    chunks = tf.constant([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    loss = representation_losses.verification_loss(keys, tf.constant([[-1.0], [-2.0]]), y, chunks)
    # log odds of the pairs: -1 (one class), -6 and -7 (two classes)
    expected = (np.log1p(np.exp(1)) + np.log1p(np.exp(-6)) + np.log1p(np.exp(-7))) / 3
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


@pytest.mark.parametrize("loss", ["pairwise", "verification"])
def test_padding_leaves_a_loss_over_pairs_its_pairs(loss, float64):
    """With more chunks than pairs: three usable rows are one chunk, and not three of a row each, whose loss is 0."""
    model, x, _ = small_problem(num_chunks=4, representation_loss=loss)
    x["support_y"] = tf.constant([[-1, 0, -1, 1, 0, -1], [0, 0, 1, 1, 2, 2]], tf.int64)
    check_against_reference(model, x, 0, [in_turn(x, 0, [1, 3, 4])])


def test_a_permutation_of_the_support_rows_changes_no_answer():
    """Neither in what their order decides, the chunks, nor in a query's answer; in training the rows keep their order."""
    model, x, _ = small_problem(shot=3, num_chunks=3)
    x["support_y"] = tf.tensor_scatter_nd_update(x["support_y"], [[0, 1]], tf.constant([-1], tf.int64))
    rows = np.random.default_rng(0).permutation(9)
    shuffled = {**x, **{key: tf.gather(x[key], rows, axis=1) for key in ("support_x", "support_y")}}
    weights = [model.adapt(e["support_x"], e["support_y"])["task_weights"] for e in (x, shuffled)]
    np.testing.assert_allclose(*weights, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model(shuffled), model(x), rtol=1e-4, atol=1e-5)
    in_order = [model.adapt(e["support_x"], e["support_y"], training=True)["task_weights"] for e in (x, shuffled)]
    assert np.abs(in_order[0] - in_order[1]).max() > 1e-3


def test_the_weights_of_verification_start_below_zero_and_stay():
    model = zoo.MetaNetwork(small_backbone(), WAY, num_chunks=2, representation_loss="verification")
    assert (model.key_similarity.kernel.numpy() < 0).all()
    assert not [v for v in model.trainable_variables if "key_similarity" in v.path]
    again = zoo.MetaNetwork.from_config(model.get_config())
    assert again.representation_loss == "verification"


def test_chunks_are_nearly_equal_and_empty_ones_come_first():
    rows = lambda usable, count: representation_losses.chunk_rows(tf.constant(usable), count).numpy().T.tolist()  # noqa: E731
    assert rows([1.0, 1.0, 0.0, 1.0, 1.0, 1.0], 2) == [[1, 1, 0, 1, 0, 0], [0, 0, 0, 0, 1, 1]]
    assert rows([0.0, 1.0, 1.0], 3) == [[0, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert rows([0.0, 0.0], 2) == [[0, 0], [0, 0]]


def test_chunks_of_pairs_have_two_rows_at_least():
    rows = lambda usable, count: representation_losses.chunk_rows(tf.constant(usable), count, 2).numpy().T.tolist()  # noqa: E731
    assert rows([1.0, 1.0, 1.0, 0.0], 3) == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0]]
    assert rows([1.0, 1.0, 1.0, 1.0, 1.0], 2) == [[1, 1, 1, 0, 0], [0, 0, 0, 1, 1]]
    assert rows([0.0, 1.0], 2) == [[0, 0], [0, 1]]


def test_empty_chunks_leave_no_trace_in_the_lstm():
    model, _, _ = small_problem()
    rng = np.random.default_rng(0)
    features = tf.constant(rng.standard_normal((2, 4, 7)), tf.float32)
    alone = model.conv_task_learner(features[:, 2:], tf.ones([2]))
    np.testing.assert_allclose(model.conv_task_learner(features, tf.constant([0.0, 0, 1, 1])), alone, rtol=1e-5)
    assert np.abs(model.conv_task_learner(features, tf.ones([4])) - alone).max() > 1e-4


def test_attention_has_no_temperature_and_reads_usable_rows_only():
    query, keys = tf.constant([[3.0, 4.0]]), tf.constant([[6.0, 8.0], [-4.0, 3.0], [0.0, 0.0]])
    scores = meta_network.cosine(query, keys)
    np.testing.assert_allclose(scores, [[1, 0, 0]], rtol=1e-6, atol=1e-6)
    attention = meta_network.masked_softmax(scores, tf.constant([1.0, 1.0, 0.0]))
    np.testing.assert_allclose(attention, [[np.e / (np.e + 1), 1 / (np.e + 1), 0]], rtol=1e-5)
    np.testing.assert_array_equal(meta_network.masked_softmax(scores, tf.zeros([3])), [[0, 0, 0]])


@pytest.mark.parametrize("size", [1, 2, 3])
def test_row_convolution_is_the_convolution_of_each_image_with_its_kernel(size):
    rng = np.random.default_rng(0)
    images, kernels = (
        tf.constant(rng.standard_normal(shape), tf.float32) for shape in ((4, 5, 7, 3), (4, size, size, 3, 2))
    )
    expected = [tf.nn.conv2d(images[i : i + 1], kernels[i], 1, "SAME")[0] for i in range(4)]
    np.testing.assert_allclose(row_weights.row_convolution(images, kernels), expected, rtol=1e-4, atol=1e-5)


def test_without_support_the_base_learner_answers_alone():
    model, x, _ = small_problem()
    nothing = tf.fill(x["support_y"].shape, np.int64(-1))
    h = model.backbone(x["query_x"][0])
    expected = tf.matmul(tf.nn.relu(tf.matmul(h, model.hidden.kernel)), model.head.kernel)
    np.testing.assert_allclose(model({**x, "support_y": nothing})[0], expected, rtol=1e-5, atol=1e-6)


# ---- the model


def test_m_and_d_begin_as_odd_functions_of_the_gradient():
    gradients = tf.constant(np.random.default_rng(0).standard_normal((3, 50)) * 1e-3, tf.float32)
    for odd_start in (True, False):
        keras.utils.set_random_seed(0)
        model = zoo.MetaNetwork(small_backbone(), WAY, initializer="lecun_normal", odd_start=odd_start)
        here, there = (gradient_networks.gradient_features(sign * gradients, 7.0) for sign in (1, -1))
        for learner, arguments in ((model.conv_row_learner, ()), (model.conv_task_learner, (tf.ones([3]),))):
            fast, opposite = learner(here, *arguments).numpy(), learner(there, *arguments).numpy()
            assert np.allclose(fast, -opposite, atol=1e-5) == odd_start
            assert fast.std() > 0.01


def test_representation_and_base_learner_are_two_networks():
    model, _, _ = small_problem()
    for one, other in zip(model.backbone.weights, model.key_backbone.weights):
        assert one is not other and one.shape == other.shape


def test_the_networks_of_the_paper_have_its_number_of_weights():
    model = zoo.MetaNetwork(zoo.backbones.conv5(), way=5)
    spec = model.state_signature()
    assert spec["memory"].shape[1] == 148032 + 4096 + 64 * 5
    assert spec["task_weights"].shape[0] == 148032 + 4096
    kernels = [*model.backbone.weights, *model.key_backbone.weights, model.hidden.kernel, model.key_hidden.kernel]
    assert len({float(kernel.numpy().ravel()[0]) for kernel in kernels}) == 12  # no two start alike


@pytest.mark.parametrize(
    "options, message",
    [
        ({"way": None}, "`way` must be an int of at least 2: .* Received: None"),
        (
            {"representation_loss": "triplet"},
            "`representation_loss` must be one of .* Received: representation_loss='triplet'",
        ),
        ({"num_chunks": 0}, "`num_chunks` must be an int of at least 1. Received: num_chunks=0"),
        ({"hidden_units": 5}, "`hidden_units` must be even with `odd_start`. Received: hidden_units=5"),
        ({"hidden_units": 2.5}, "`hidden_units` must be an int of at least 1. Received: hidden_units=2.5"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        zoo.MetaNetwork(small_backbone(), **{"way": WAY, **options})


@pytest.mark.parametrize("name", ["conv4", "strided_conv4", "mlp"])
def test_a_backbone_that_cannot_be_augmented_is_named(name):
    with pytest.raises(ValueError, match="`backbone` must be a chain of Conv2D .* Received: layer (block|dense)_1"):
        zoo.MetaNetwork(zoo.backbones.build(name), WAY)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
