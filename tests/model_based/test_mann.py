import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors
from tests.descriptors import IMAGE_SHAPE, WAY
from tests.finite_differences import check_gradients
from zoo.model_based import label_stream, mann, presentation_accuracy

SLOTS, WIDTH, HEADS, UNITS = 16, 6, 2, 16


def small(cls=zoo.MANN, seed=0, **options):
    """A small model with all weights moved off their start."""
    keras.utils.set_random_seed(seed)
    sizes = dict(memory_slots=SLOTS, memory_width=WIDTH, num_read_heads=HEADS) if cls is zoo.MANN else {}
    model = cls(zoo.backbones.pixels(IMAGE_SHAPE), WAY, controller_size=UNITS, **{**sizes, **options})
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.3 * rng.standard_normal(variable.shape))
    return model


@pytest.fixture
def float64():
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy("float32")


# ---- the method in NumPy, float64, one task, from the paper's equations


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    exponents = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


class Reference:
    def __init__(self, model):
        self.weights = {
            "/".join(v.path.split("/")[-2:]): v.numpy().astype(np.float64) for v in model.trainable_variables
        }
        self.decay, self.feed_read = model.usage_decay, model.feed_read
        self.shared = model.least_used_slots == "shared"
        self.alpha = float(model.alpha) if model.write_gate == "scalar" else None

    def start(self):
        first = np.eye(SLOTS)[0]
        return dict(
            memory=np.full((SLOTS, WIDTH), 1e-6),
            usage=first,
            read_weights=np.stack([first] * HEADS),
            read=np.zeros(HEADS * WIDTH),
            h=np.zeros(UNITS),
            c=np.zeros(UNITS),
        )

    def step(self, s, x, y_before):
        w = self.weights
        recurrent = np.concatenate([s["h"], s["read"]]) if self.feed_read else s["h"]
        gates = (
            x @ w["image/kernel"] + w["image/bias"] + y_before @ w["label/kernel"] + recurrent @ w["recurrent/kernel"]
        )
        i, f, z, o = np.split(gates, 4)
        c = sigmoid(f + 1) * s["c"] + sigmoid(i) * np.tanh(z)
        h = sigmoid(o) * np.tanh(c)
        k = np.tanh(h @ w["key/kernel"] + w["key/bias"]).reshape(HEADS, WIDTH)
        if self.alpha is None:
            gate = sigmoid(h @ w["write_gate/kernel"] + w["write_gate/bias"])
        else:
            gate = np.full(HEADS, sigmoid(self.alpha))
        # Rounded in the 12th digit, since NumPy too may round slots with one past differently.
        order = np.argsort(s["usage"].round(12), kind="stable")[:HEADS]
        memory = s["memory"].copy()
        memory[order[0]] = 0
        w_w = np.zeros((HEADS, SLOTS))
        for head in range(HEADS):
            w_lu = np.zeros(SLOTS)
            w_lu[order if self.shared else order[head]] = 1
            w_w[head] = gate[head] * s["read_weights"][head] + (1 - gate[head]) * w_lu
            memory += np.outer(w_w[head], k[head])
        w_r, read = np.zeros((HEADS, SLOTS)), []
        for head in range(HEADS):
            lengths = np.linalg.norm(memory, axis=1) * np.linalg.norm(k[head])
            w_r[head] = softmax(memory @ k[head] / lengths)
            read.append(w_r[head] @ memory)
        usage = self.decay * s["usage"] + w_r.sum(axis=0) + w_w.sum(axis=0)
        new = dict(memory=memory, usage=usage, read_weights=w_r, read=np.concatenate(read), h=h, c=c)
        return new, np.concatenate([h, new["read"]]) @ w["output/kernel"] + w["output/bias"]

    def run(self, support_x, support_y, query_x):
        """State, logits of the stream [S, way], logits of the queries [Q, way]."""
        state, y_before, stream = self.start(), np.zeros(WAY), []
        for x, y in zip(support_x, support_y):
            state, logits = self.step(state, x.ravel(), y_before)
            stream.append(logits)
            y_before = np.eye(WAY)[y]
        return state, np.stack(stream), np.stack([self.step(state, x.ravel(), y_before)[1] for x in query_x])


@pytest.mark.parametrize(
    "options",
    [{}, {"feed_read": False}, {"least_used_slots": "one_per_head"}, {"usage_decay": 0.5}, {"write_gate": "scalar"}],
    ids=["paper", "read not fed", "one slot per head", "decay", "scalar gate"],
)
def test_adaptation_and_prediction_against_a_numpy_reference(float64, options):
    """Streams of 12 rows, two slots a row, on 16 slots, so that slots are erased and written again.

    In float64: the slot erased first and the one written beside it differ in use by the 1e-6 that was erased.
    """
    model = small(**options)
    x, y = descriptors.episode(shot=4, query=2)
    x = {key: tf.cast(value, tf.float64) if "x" in key else value for key, value in x.items()}
    state, logits = model.adapt(x["support_x"], x["support_y"]), model(x)
    stream = model.presentation_logits(x["support_x"], x["support_y"])
    loss = model.compute_gradients(x, y)[0]
    losses = []
    for task in range(2):
        arrays = [x[key][task].numpy() for key in ("support_x", "support_y", "query_x")]
        expected, expected_stream, expected_logits = Reference(model).run(*arrays)
        for name, value in expected.items():
            np.testing.assert_allclose(state[name][task], value, rtol=1e-8, atol=1e-8, err_msg=name)
        p = softmax(np.concatenate([expected_stream, expected_logits]))
        np.testing.assert_allclose(tf.nn.softmax(logits[task]), p[12:], rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(tf.nn.softmax(stream[task]), p[:12], rtol=1e-8, atol=1e-8)
        np.testing.assert_array_equal(state["last_label"][task], np.eye(WAY)[arrays[1][-1]])
        labels = np.concatenate([arrays[1], y[task]])
        losses.append(-np.log(p[np.arange(len(labels)), labels]).mean())
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-8)


# ---- what goes wrong in other implementations


@pytest.mark.parametrize("cls", [zoo.MANN, zoo.LSTMBaseline])
def test_labels_arrive_one_step_late(cls):
    model = small(cls)
    x, _ = descriptors.episode(shot=2)
    labels = x["support_y"].numpy()
    changed = labels.copy()
    changed[:, 3] = (labels[:, 3] + 1) % WAY
    before, after = (model.presentation_logits(x["support_x"], tf.constant(y)).numpy() for y in (labels, changed))
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert (np.abs(before[:, 4:] - after[:, 4:]).max(axis=-1) > 1e-5).all()


def one_step(model, **changes):
    """(state before, state after) one step of one task from a random state."""
    rng = np.random.default_rng(0)
    state = {name: tf.constant(rng.random(v.shape), v.dtype) for name, v in model.initial_state(1).items()}
    state.update(changes)
    return state, model.step(state, tf.constant(rng.standard_normal((1, 4 * UNITS)), tf.float32))


def test_no_gradient_flows_through_the_choice_of_slots_and_one_flows_through_the_rest():
    model = small()
    usage = tf.random.stateless_uniform([1, SLOTS], [0, 0])
    read_weights = tf.random.stateless_uniform([1, HEADS, SLOTS], [0, 1])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([usage, read_weights])
        _, state = one_step(model, usage=usage, read_weights=read_weights)
        total = tf.reduce_sum(state["memory"] ** 2) + tf.reduce_sum(model.features(state) ** 2)
    assert tape.gradient(total, usage) is None
    assert np.abs(tape.gradient(total, read_weights)).max() > 1e-3
    for layer in (model.key_layer, model.write_gate_layer):
        assert np.abs(tape.gradient(total, layer.kernel)).max() > 1e-3


def test_the_least_used_slot_alone_is_erased_and_the_least_used_are_written():
    model = small()
    model.write_gate_layer.bias.assign([-100.0, -100.0])  # write to the least used slots only
    usage = tf.constant([[3.0, 2.0, 0.5, 4.0, 5.0, 0.1, 6.0, 7.0] + [8.0] * 8])
    before, after = one_step(model, usage=usage)
    written = after["memory"][0] - before["memory"][0]
    np.testing.assert_array_equal(np.flatnonzero(np.abs(written).max(axis=-1) > 1e-6), [2, 5])
    np.testing.assert_allclose(after["memory"][0, 5], written[2], rtol=1e-5, atol=1e-6)  # 0 and not what was there


def test_the_new_memory_is_read():
    """From an empty memory the read must be of what this step writes."""
    model = small()
    state = model.initial_state(1)
    state = model.step(state, tf.ones([1, 4 * UNITS]))
    keys = tf.tanh(model.key_layer(state["h"]))
    weights = tf.nn.softmax(mann.cosines(tf.reshape(keys, [1, HEADS, WIDTH]), state["memory"]))
    np.testing.assert_allclose(state["read_weights"], weights, rtol=1e-5)
    assert np.abs(state["read"]).max() > 1e-3


def test_of_equally_used_slots_the_first_are_taken_and_of_others_the_least_used():
    """However many, and however small the difference: of slots 0 to 127 slot 127 alone is unused."""
    model = small(memory_slots=128)
    chosen, erased = model._least_used(tf.ones([2, 128]))
    np.testing.assert_array_equal([np.flatnonzero(row) for row in chosen[:, 0]], [[0, 1]] * 2)
    np.testing.assert_array_equal([np.flatnonzero(row) for row in erased], [[0]] * 2)
    for used in (1e-3, 1e-6):
        chosen, erased = model._least_used(tf.constant([[used] * 127 + [0.0]]))
        np.testing.assert_array_equal(np.flatnonzero(chosen), [0, 127])
        np.testing.assert_array_equal(np.flatnonzero(erased), [127])
    usage = np.full([1, 128], 2.0, np.float32)
    usage[0, 100] = np.nextafter(np.float32(2), np.float32(0))
    np.testing.assert_array_equal(np.flatnonzero(model._least_used(tf.constant(usage))[1]), [100])


@pytest.mark.parametrize("slots", [16, 128])
@pytest.mark.parametrize("num_tasks", [1, 2, 3, 16])
def test_slots_with_one_past_stay_equal_to_the_last_bit(slots, num_tasks):
    """Eagerly and in a graph, so that no rounding chooses between them."""
    model = small(memory_slots=slots)
    for step in (model.step, tf.function(model.step, autograph=False)):
        state = model.initial_state(num_tasks)
        past = (np.arange(slots) == 0)[None].repeat(num_tasks, axis=0).astype(int)  # a number for each past
        rng = np.random.default_rng(0)
        for _ in range(slots):
            written, erased = model._least_used(state["usage"])
            past = 3 * past + (written[:, 0] + erased).numpy().astype(int)
            past = np.stack([np.unique(row, return_inverse=True)[1] for row in past])
            state = step(state, tf.constant(rng.standard_normal((num_tasks, 4 * UNITS)), tf.float32))
            for row, usage in zip(past, state["usage"].numpy()):
                values = {number: set(usage[row == number]) for number in row}
                assert all(len(of_one_past) == 1 for of_one_past in values.values()), values


def test_which_of_the_equal_slots_is_taken_changes_no_answer():
    """Thirteen slots fill no vector register, and may round differently: the state may be another permutation, the answer not."""
    model, (x, _) = small(memory_slots=13), descriptors.episode(shot=4)
    expected = model(x)
    take = model._least_used

    def last_first(usage):
        return tuple(tf.reverse(values, [-1]) for values in take(tf.reverse(usage, [-1])))

    start = model.initial_state
    model._least_used = last_first
    model.initial_state = lambda num_tasks: {
        name: tf.reverse(value, [-1]) if name in ("usage", "read_weights") else value
        for name, value in start(num_tasks).items()
    }
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-5)


def test_the_scalar_gate_is_one_learned_number():
    """Sigmoid of alpha = log 3 keeps 3/4 of what was read, for every head and whatever h is."""
    model = small(write_gate="scalar")
    model.alpha.assign(np.log(3.0))
    before, after = one_step(model)
    w_w = after["usage"] - model.usage_decay * before["usage"] - tf.reduce_sum(after["read_weights"], axis=1)
    least_used = np.sort(before["usage"].numpy(), axis=-1)[:, HEADS - 1 : HEADS] >= before["usage"]
    expected = 0.75 * tf.reduce_sum(before["read_weights"], axis=1) + 0.25 * HEADS * tf.cast(least_used, tf.float32)
    np.testing.assert_allclose(w_w, expected, rtol=1e-4, atol=1e-5)
    assert not hasattr(model, "write_gate_layer")
    with pytest.raises(ValueError, match="`write_gate` must be one of .* Received: write_gate='vector'"):
        small(write_gate="vector")


def test_cosines_by_hand():
    memory = tf.constant([[[3.0, 4.0], [0.0, 0.0], [-2.0, 0.0]]])
    np.testing.assert_allclose(mann.cosines(tf.constant([[[2.0, 0.0]]]), memory), [[[0.6, 0.0, -1.0]]], atol=1e-6)


def test_the_loss_of_certain_answers_is_zero():
    """With a second softmax it would not fall below log(1 + 2 / e)."""
    model = small(zoo.LSTMBaseline)
    model.output_layer.kernel.assign(0 * model.output_layer.kernel)
    model.output_layer.bias.assign([50.0, 0.0, 0.0])
    x, y = descriptors.episode()
    x["support_y"], y = tf.zeros_like(x["support_y"]), tf.zeros_like(y)
    assert model.compute_gradients(x, y)[0] < 1e-6


@pytest.mark.parametrize("cls", [zoo.MANN, zoo.LSTMBaseline])
def test_memory_is_wiped_between_episodes(cls):
    model = small(cls)
    x, _ = descriptors.episode(seed=1)
    before = model.adapt(x["support_x"], x["support_y"])
    other, _ = descriptors.episode(seed=2)
    model.adapt(other["support_x"], other["support_y"])
    for name, value in model.adapt(x["support_x"], x["support_y"]).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


@pytest.mark.parametrize("cls", [zoo.MANN, zoo.LSTMBaseline])
def test_padding_anywhere_leaves_every_part_of_the_state(cls):
    """Rows of label -1 before, between and after: one task of two has them, the other has all rows."""
    model = small(cls)
    x, _ = descriptors.episode(num_tasks=1)
    images, labels = x["support_x"].numpy(), x["support_y"].numpy()
    position = [0, 3, 3, 6]
    padded_x = np.insert(images, position, 9.0, axis=1)
    padded_y = np.insert(labels, position, -1, axis=1)
    full_y = np.where(padded_y < 0, 1, padded_y)
    batch = tf.constant(np.concatenate([padded_x] * 2), tf.float32), tf.constant(np.concatenate([padded_y, full_y]))
    assert padded_y.shape == (1, 6 + 4)
    expected = model.adapt(x["support_x"], x["support_y"])
    for name, value in model.adapt(*batch).items():
        np.testing.assert_allclose(value[0], expected[name][0], rtol=1e-5, atol=1e-6, err_msg=name)


def test_outer_gradient_agrees_with_finite_differences(float64):
    """By every weight along a random direction, in float64, through slots that are erased and written again."""
    model = small()
    x, y = descriptors.episode(shot=4)
    x = {key: tf.cast(value, tf.float64) if "x" in key else value for key, value in x.items()}
    step = tf.function(model.compute_gradients, autograph=False)
    check_gradients(lambda: step(x, y)[0], model.trainable_variables, step(x, y)[2], rtol=1e-5, atol=1e-9)


# ---- the stream


def test_the_label_that_arrives_is_that_of_the_last_usable_row():
    labels = tf.constant([[[1.0], [2.0], [3.0], [4.0]]])
    usable = tf.constant([[True, False, True, False]])
    np.testing.assert_array_equal(label_stream.arrived_labels(labels, usable), [[[0], [1], [1], [3], [3]]])


def test_presentations_are_counted_by_class():
    labels = tf.constant([[0, 1, 0, -1, 0, 1]], tf.int64)
    np.testing.assert_array_equal(presentation_accuracy.presentation_number(labels), [[1, 1, 2, 0, 3, 2]])


def test_evaluate_reports_accuracy_by_presentation():
    """A model that always says class 0, against counts by hand; what no episode shows is not counted."""
    model = small(zoo.LSTMBaseline)
    model.output_layer.kernel.assign(0 * model.output_layer.kernel)
    model.output_layer.bias.assign([1.0, 0.0, 0.0])
    x, y = descriptors.episode(num_tasks=2, shot=2)
    x["support_y"] = tf.constant([[0, 0, 0, 1, 1, 2], [1, 0, 1, 2, -1, -1]], tf.int64)
    model.compile()
    logs = model.evaluate(x, y, batch_size=2, verbose=0, return_dict=True)
    # task 1: classes 0, 1, 2 first shown, 0 and 1 a second time, 0 a third; task 2: 1, 0, 2 first, 1 a second time
    expected = {"1st": (1 / 3, 1 / 3), "2nd": (1 / 2, 0), "3rd": (1,)}
    for k, values in expected.items():
        np.testing.assert_allclose(logs[f"accuracy_{k}"], np.mean(values), rtol=1e-6)
    np.testing.assert_allclose(logs["accuracy_2nd_ci95"], 1.959964 * np.std([0.5, 0], ddof=1) / np.sqrt(2), rtol=1e-5)
    assert [float(metric.num_episodes) for metric in model.additional_metrics] == [2, 2, 1] + [0] * 7


def test_training_reports_accuracy_by_presentation_too():
    model = small()
    x, y = descriptors.episode(num_tasks=4)
    expected = presentation_accuracy.presentation_number(x["support_y"]) == 2
    right = tf.argmax(model.presentation_logits(x["support_x"], x["support_y"]), axis=-1) == x["support_y"]
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    logs = model.train_on_batch(x, y, return_dict=True)
    np.testing.assert_allclose(logs["accuracy_2nd"], np.mean(right.numpy()[expected.numpy()]), rtol=1e-6)


def test_at_the_start_a_label_moves_the_gates_as_much_as_an_image_does():
    """Labels lost beside 400 pixels are bound to nothing for thousands of steps."""
    keras.utils.set_random_seed(0)
    model = zoo.MANN(zoo.backbones.pixels(), way=5)
    ink = (np.random.default_rng(0).random((50, 400)) < 0.15).astype(np.float32)
    of_images, of_labels = (
        np.std(part) for part in (model.image_layer(ink), model.label_layer(np.eye(5, dtype=np.float32)))
    )
    assert 1 < of_labels / of_images < 3
    kernel = model.recurrent_layer.kernel.numpy()
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(len(kernel)), atol=1e-5)


# ---- labels as strings


def test_strings_have_five_characters_and_are_distinct_and_fixed_at_inference():
    model = small(label_encoding="strings")
    x, _ = descriptors.episode(num_tasks=3)
    state = model.adapt(x["support_x"], x["support_y"])
    codes = state["codes"].numpy()
    assert codes.shape == (3, WAY, 25) and state["last_label"].shape == (3, 25)
    np.testing.assert_array_equal(codes.reshape(3, WAY, 5, 5).sum(axis=-1), np.ones((3, WAY, 5)))
    assert all(len({tuple(code) for code in task}) == WAY for task in codes)
    np.testing.assert_array_equal(codes, np.stack([codes[0]] * 3))
    np.testing.assert_array_equal(model.adapt(x["support_x"], x["support_y"])["codes"], codes)
    last = np.take_along_axis(codes, x["support_y"][:, -1:, None].numpy(), axis=1)[:, 0]
    np.testing.assert_array_equal(state["last_label"], last)


def test_strings_in_training_are_drawn_per_task_from_the_number_of_the_step():
    model = small(label_encoding="strings")
    model.compile(optimizer="sgd")
    x, _ = descriptors.episode(num_tasks=3)

    def draw(step):
        model.optimizer.iterations.assign(step)
        return model.adapt(x["support_x"], x["support_y"], training=True)["codes"].numpy()

    first, second, again = draw(7), draw(8), draw(7)
    np.testing.assert_array_equal(first, again)
    assert (first != second).any() and (first[0] != first[1]).any()
    assert (first.reshape(3, WAY, 5, 5).sum(axis=-1) == 1).all()


def test_strings_in_training_need_no_compile():
    """Without an optimizer there is no step to count: the strings are those of the first."""
    model, compiled = small(label_encoding="strings"), small(label_encoding="strings")
    compiled.set_weights(model.get_weights())
    compiled.compile(optimizer="sgd")
    x, y = descriptors.episode(num_tasks=2)
    np.testing.assert_allclose(model(x, training=True), compiled(x, training=True), rtol=1e-6)
    assert model.compute_gradients(x, y)[0] == compiled.compute_gradients(x, y)[0]


def test_string_logits_and_loss_are_sums_over_characters():
    model = small(zoo.LSTMBaseline, label_encoding="strings")
    x, y = descriptors.episode()
    state = model.adapt(x["support_x"], x["support_y"])
    embedded = tf.reshape(x["query_x"], [2, 6, -1])
    inputs = model.input_gates(embedded, tf.repeat(state["last_label"][:, None], 6, axis=1))
    expected, losses = np.zeros((2, 6, WAY)), np.zeros((2, 6))
    for task in range(2):
        for query in range(6):
            one = {name: state[name][task : task + 1] for name in ("h", "c")}
            outputs = model.output_layer(model.step(one, inputs[task : task + 1, query])["h"])
            log_p = np.log(softmax(outputs.numpy().reshape(5, 5).astype(np.float64)))
            codes = state["codes"][task].numpy().reshape(WAY, 5, 5)
            expected[task, query] = [sum(log_p[i, codes[n, i].argmax()] for i in range(5)) for n in range(WAY)]
            losses[task, query] = -expected[task, query, y[task, query]]
    np.testing.assert_allclose(model(x), expected, rtol=1e-5)
    stream = model.presentation_logits(x["support_x"], x["support_y"]).numpy()
    stream_losses = -np.take_along_axis(stream, x["support_y"].numpy()[..., None], axis=-1)[..., 0]
    targets, log_p, _ = model.training_outputs(x, y, training=False)
    loss = tf.reduce_mean(model.task_objective(targets, log_p))
    np.testing.assert_allclose(loss, np.concatenate([stream_losses, losses], axis=1).mean(), rtol=1e-5)


def test_a_string_is_right_only_if_all_characters_are():
    model = small(label_encoding="strings")
    codes = model._make_codes(1, WAY, training=False)
    labels = tf.constant([[0, 1]], tf.int64)
    log_p = model._encode(labels, codes).numpy()
    log_p[0, 1, :5] = np.roll(log_p[0, 1, :5], 1)  # one character of five wrong
    model._update_presentations(tf.constant(log_p), labels, codes)
    np.testing.assert_allclose(model.additional_metrics[0].result()["accuracy_1st"], 0.5)


def test_strings_learn_and_answer_other_ways():
    backbone = zoo.backbones.pixels(IMAGE_SHAPE)
    model = zoo.LSTMBaseline(backbone, label_encoding="strings", controller_size=UNITS)
    assert model.supports_variable_way and not small().supports_variable_way
    x, y = descriptors.episode(num_tasks=8)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    losses = model.fit(x, y, batch_size=8, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for way in (2, 5):
        x, y = descriptors.episode(way=way)
        assert model(x).shape == (2, y.shape[1], way)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"way": None}, "`way` must be given for one-hot labels"),
        ({"label_encoding": "words"}, "`label_encoding` must be one of .* Received: label_encoding='words'"),
        ({"least_used_slots": "all"}, "`least_used_slots` must be one of .* Received: least_used_slots='all'"),
        ({"memory_slots": 3}, "`memory_slots` must be at least `num_read_heads`, 4. Received: memory_slots=3"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        zoo.MANN(zoo.backbones.pixels(IMAGE_SHAPE), **{"way": 3, **options})


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
