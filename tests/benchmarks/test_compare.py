"""What the comparison with PyTorch and JAX rests on; the peers themselves run in an environment of their own."""

import math
import pathlib
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import compare, profile, row_configs, rows
from benchmarks.contenders import child, data, steps, with_metazoa
from trainers import builder, loop


class NumPy:
    """Of the ops of `steps`, those of a Prototypical Network's forward pass, with windows written out."""

    @staticmethod
    def convolution(x, kernel, stride):
        padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
        height, width = x.shape[1:3]
        return sum(padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3))

    @staticmethod
    def batch_norm(x, gamma, beta):
        return gamma * (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-3) + beta

    @staticmethod
    def max_pool(x):
        x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
        return np.max([x[:, i::2, j::2] for i in range(2) for j in range(2)], axis=0)

    @staticmethod
    def relu(x):
        return np.maximum(x, 0)

    @staticmethod
    def flatten(x):
        return x.reshape(len(x), -1)

    @staticmethod
    def join(parts, axis):
        return np.concatenate(parts, axis)

    @staticmethod
    def cross_entropy(logits, labels):
        shifted = logits - logits.max(-1, keepdims=True)
        return np.mean(np.log(np.exp(shifted).sum(-1)) - shifted[np.arange(len(labels)), labels])


def tiny(name):
    row = rows.ROWS[name]
    options = {**row["network"]["options"], "filters": 4}
    return {**row, "network": {**row["network"], "options": options}}


def test_contenders_take_the_step_of_the_zoo():
    """The loss that a peer would have, in NumPy, is that of the model which is timed."""
    row = {**tiny("protonet"), "way": 3}
    batch = data.batches(row)[0]
    expected = steps.prototypical(NumPy, row)(data.weights(row), [values[0] for values in batch])
    loss, _, _ = with_metazoa.build_model(row).compute_gradients(*with_metazoa.as_episodes(batch))
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


@pytest.mark.parametrize("name", rows.ROWS)
def test_every_row_builds_its_model(name):
    """With the weights that peers start from: they must fit, one by one."""
    row = tiny(name)
    model = with_metazoa.build_model(row)
    (support_x, _, query_x, query_y) = data.batches(row)[0]
    assert support_x.shape == (row["tasks"], row["way"] * row["shot"], *model.input_shape)
    assert query_x.shape[:2] == query_y.shape == (row["tasks"], row["way"] * row["query"])


@pytest.mark.parametrize(
    "images, kernel, out, padding, expected",
    [
        # 3x3 over 5x5, padded: the kernel's middle row is there 5 times, each of the others 4.
        ((2, 5, 5, 3), (3, 3, 3, 4), (2, 5, 5, 4), (1, 1), 2 * 3 * 4 * 13 * 13),
        # The derivative of a gradient for a kernel, back to the images: 3x3 values under a kernel as large as the images.
        ((2, 3, 3, 3), (5, 5, 3, 4), (2, 5, 5, 4), (3, 3), 2 * 3 * 4 * 13 * 13),
    ],
)
def test_products_with_padding_are_not_counted(images, kernel, out, padding, expected):
    specs = types.SimpleNamespace(lhs_spec=(0, 3, 1, 2), rhs_spec=(3, 2, 0, 1), out_spec=(0, 3, 1, 2))
    parameters = {"dimension_numbers": specs, "padding": (padding, padding), "window_strides": (1, 1)}
    parameters |= {"lhs_dilation": (1, 1), "rhs_dilation": (1, 1)}
    assert child.products(images, kernel, out, parameters) == expected


def test_a_row_is_a_run_of_the_trainer():
    """As `benchmarks.training_step` times it."""
    trainer = loop.Trainer(builder.to_dict(row_configs.get_config(tiny("protonet"))), tf.distribute.get_strategy())
    assert math.isfinite(trainer.train_until(1)["loss"])


@pytest.mark.parametrize("key, difference", [("loss", 2e-3), ("gradient", 2e-2)])
def test_a_contender_that_takes_another_step_is_not_timed(key, difference):
    ours = {"loss": 2.0, "gradient": 30.0}
    other = {**ours, key: ours[key] * (1 + difference)}
    contenders = {name: types.SimpleNamespace(answer=a) for name, a in (("Metazoa", ours), ("JAX, vmap", other))}
    with pytest.raises(RuntimeError, match=f"maml_1_step: JAX, vmap has another {key}"):
        compare.check_agreement("maml_1_step", contenders)
    contenders["JAX, vmap"].answer = {**ours, key: ours[key] * (1 + difference / 4)}
    compare.check_agreement("maml_1_step", contenders)


@pytest.mark.parametrize("step, expected", [(0.5, [0.5, 0.5]), (11.0, [11.0])])
def test_long_steps_are_taken_once(step, expected, monkeypatch):
    """The first turn does not count, unless it is the only one."""
    monkeypatch.setattr(compare.Contender, "_read", lambda self: {"seconds": [step], "started": 0.0})
    monkeypatch.setattr(compare, "command", lambda *_: ["cat"])
    contender = compare.Contender("Metazoa", "anil")
    for turn in range(3):
        contender.take_turn(1.0, counts=turn > 0)
    contender.close()
    assert contender.seconds == expected


def test_a_peer_that_takes_no_step_is_left_out_and_named(monkeypatch, capsys):
    monkeypatch.setattr(compare, "command", lambda *_: ["sh", "-c", "exec sleep 60"])
    monkeypatch.setattr(compare, "_PATIENCE", types.SimpleNamespace(value=0.1))
    contender = compare.Contender("torch.compile", "anil")
    assert contender.is_late and contender.answer is None
    contender.close()
    assert capsys.readouterr().err == "exec sleep 60 failed: no first step in 0.1 seconds\n"


def test_every_contender_is_a_file():
    for module, _ in compare.PEERS.values():
        assert pathlib.Path("benchmarks/contenders", f"{module}.py").is_file(), module


def test_an_unknown_row_is_named():
    with pytest.raises(ValueError, match="Received: \\['mamal'\\]"):
        rows.check(["mamal", "anil"])


def test_a_profile_tells_kinds_of_ops_apart():
    images, kernel = tf.random.normal([64, 28, 28, 32]), tf.random.normal([3, 3, 32, 32])
    convolve = tf.function(lambda: tf.nn.conv2d(images, kernel, 1, "SAME"))
    convolve()
    shares = profile.shares_by_kind(lambda: [convolve() for _ in range(3)])
    assert math.isclose(sum(shares.values()), 1) and shares["convolutions"] > 0.8


def test_tables_have_the_ratios_to_the_fastest_peers():
    times = {"Metazoa": (0.1, 3.0), "PyTorch": (0.4, 5.0), "PyTorch, vmap": (0.3, 5.0), "JAX, vmap": (0.2, 9.0)}
    shares = dict.fromkeys(profile.KINDS, 0.2)
    row = {"times": times, "flop": 5e9, "shares": shares, "ceiling": {"convolution": 100.0, "matrix": 200.0}}
    slower = {**row, "ceiling": {"convolution": 80.0, "matrix": 200.0}}
    measured = {"anil": row, "fomaml": slower, "maml_evaluation": {**row, "late": {"torch.compile": 600}}}
    text = compare.tables(measured, "two cores")
    label, other = rows.ROWS["anil"]["label"], rows.ROWS["fomaml"]["label"]
    cells = "100.0 | 400.0 | 300.0 |  |  | 200.0 | 3.0 | 2.0"
    assert f"| {label} | {cells} | 100, 200 | 50% |" in text
    assert f"| {other} | {cells} | 80, 200 | 62% |" in text
    # Of 1,000 episodes, four at a time.
    assert "MAML, 5 steps, 15 queries | 25000.0 | 100000.0 | 75000.0 |" in text
    assert "MAML, 5 steps, 15 queries | 3 | 5 | 5 | over 600, left out |  | 9 |" in text
    assert f"| {label} | 3 | 5 | 5 |  |  | 9 |" in text


def test_rows_measured_before_stay(tmp_path, monkeypatch):
    """Rows in the order of `rows.ROWS`, those of this run in place of theirs."""

    def measure(name):
        ceiling, shares = {"convolution": 1.0, "matrix": 1.0}, dict.fromkeys(profile.KINDS, 0.2)
        return {"times": {"Metazoa": (len(done), 1.0)}, "flop": None, "shares": shares, "ceiling": ceiling}

    done, path, document = [], tmp_path / "rows.json", tmp_path / "document.md"
    document.write_text("<!-- peers_cpu -->\n<!-- /peers_cpu -->\n")
    monkeypatch.setattr(compare, "measure", measure)
    monkeypatch.setattr(compare, "_MEASUREMENTS", types.SimpleNamespace(value=str(path)))
    monkeypatch.setattr(compare, "_DOCUMENT", types.SimpleNamespace(value=str(document)))
    for names in (["anil", "protonet"], ["fomaml", "anil"]):
        monkeypatch.setattr(compare, "_ROWS", types.SimpleNamespace(value=names))
        compare.main()
        done.append(names)
    kept = {name: row["times"]["Metazoa"][0] for name, row in compare.kept(path).items()}
    assert list(kept.items()) == [(name, {"protonet": 0}.get(name, 1)) for name in rows.ROWS if name in kept]
    assert (
        set(kept) == {"anil", "protonet", "fomaml"} and document.read_text().count(rows.ROWS["protonet"]["label"]) == 3
    )


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
