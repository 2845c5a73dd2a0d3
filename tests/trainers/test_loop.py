"""The training loop in this process, on small classes made here."""

import json
import math
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from publishing.card import model_card
from tests.trainers.small_runs import final_weights, make_config, small_classes, train  # noqa: F401
from trainers import builder, loop, protocols, workdir
from trainers.events import read_records
from trainers.reporting import weights_stamp, write_results
from zoo.presets.loader import preset_metadata


def scalars(folder):
    """All scalars of the event files, sorted: (name, step, value), without the time."""
    return sorted(
        (value.tag, event.step, float(tf.make_ndarray(value.tensor)))
        for path in (folder / "tensorboard").iterdir()
        for event in map(tf.compat.v1.Event.FromString, read_records(path))
        for value in event.summary.value
        if value.tag != "seconds"
    )


def metrics_without_time(folder):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in workdir.read_metrics(folder)]


# The binary's own test kills a Prototypical Network.
@pytest.mark.parametrize("method", [pytest.param("PrototypicalNetwork", marks=pytest.mark.slow), "MAML"])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(method, tmp_path, monkeypatch):
    """Stopped after step 10, past the checkpoint of step 8: weights, optimizer and metrics are the same in the end."""
    config = make_config(method, schedule="cosine")
    train(config, tmp_path / "straight")

    class Killed(BaseException):
        pass

    original = loop.Trainer.train_until

    def train_until(self, stop):
        logs = original(self, stop)
        if stop == 12:
            raise Killed
        return logs

    with monkeypatch.context() as patched:
        patched.setattr(loop.Trainer, "train_until", train_until)
        with pytest.raises(Killed):
            train(config, tmp_path / "interrupted")
    (tmp_path / "interrupted" / "metrics.jsonl").open("a").write('{"step": 12, "lo')  # killed while writing
    train(config, tmp_path / "interrupted")
    straight, interrupted = (final_weights(tmp_path / name) for name in ("straight", "interrupted"))
    assert straight.keys() == interrupted.keys()
    for name, value in straight.items():
        np.testing.assert_array_equal(interrupted[name], value, err_msg=name)
    assert metrics_without_time(tmp_path / "interrupted") == metrics_without_time(tmp_path / "straight")
    for one, other in zip(*(zoo.from_preset(tmp_path / name).get_weights() for name in ("straight", "interrupted"))):
        np.testing.assert_array_equal(one, other)
    assert scalars(tmp_path / "interrupted") == scalars(tmp_path / "straight")


def test_runs_with_one_seed_are_equal_and_with_another_are_not(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train({**make_config("MAML"), "seed": seed}, tmp_path / name)
    assert metrics_without_time(tmp_path / "a") == metrics_without_time(tmp_path / "b")
    assert metrics_without_time(tmp_path / "a") != metrics_without_time(tmp_path / "c")


def test_the_best_weights_are_kept(tmp_path, monkeypatch, capsys):
    """Validation says step 8 is the best: the kept weights are those of step 8, and differ from the final ones."""
    kept = {}
    scores = {4: 0.5, 8: 0.9, 12: 0.7}

    def validate(self):
        kept[self.steps_done] = self.model.get_weights()
        accuracy = scores[self.steps_done]
        return {
            "step": self.steps_done,
            "seconds": 0.0,
            "validation_loss": 1.0,
            "validation_accuracy": accuracy,
            "validation_accuracy_ci95": 0.125,
        }

    monkeypatch.setattr(loop.Trainer, "validate", validate)
    train(make_config(), tmp_path)
    weights = zoo.from_preset(tmp_path).get_weights()
    for value, best in zip(weights, kept[8]):
        np.testing.assert_array_equal(value, best)
    assert any((value != last).any() for value, last in zip(weights, kept[12]))
    assert protocols.training_cost(tmp_path)["kept_step"] == 8
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("step")] == [
        "step 4: validation accuracy 50.00 ± 12.50 %, the best so far",
        "step 8: validation accuracy 90.00 ± 12.50 %, the best so far",
        "step 12: validation accuracy 70.00 ± 12.50 %",
    ]


@pytest.mark.parametrize("options, ink", [({}, False), ({"invert": True}, True)])
def test_a_run_records_whether_its_images_are_ink(options, ink, tmp_path, monkeypatch):
    monkeypatch.setitem(zoo.datasets.INK, "patterns", "invert")
    config = make_config(num_steps=1)
    train({**config, "dataset": {**config["dataset"], "options": options}}, tmp_path)
    assert zoo.presets.preset_metadata(tmp_path)["ink"] is ink


@pytest.mark.parametrize("method", [pytest.param("PrototypicalNetwork", marks=pytest.mark.slow), "MAML"])
def test_mirrored_training_learns_from_the_same_tasks(method, tmp_path, mirrored):
    """Two replicas with one task each make the step of one device with two."""
    config = make_config(method)
    train(config, tmp_path / "one")
    train(config, tmp_path / "two", mirrored)
    one, two = (metrics_without_time(tmp_path / name) for name in ("one", "two"))
    assert [record["step"] for record in one] == [record["step"] for record in two]
    for a, b in zip(one, two):
        for key in a:
            np.testing.assert_allclose(a[key], b[key], rtol=1e-3, atol=1e-5, err_msg=f"{key} at step {a['step']}")


def test_replicas_must_share_the_tasks_evenly(tmp_path, mirrored):
    config = make_config()
    config["train"]["tasks"] = 3
    with pytest.raises(ValueError, match="`tasks` must be a multiple of the 2 replicas. Received: tasks=3"):
        train(config, tmp_path, mirrored)


def test_a_workdir_of_another_config_is_refused_and_kept(tmp_path):
    config = make_config()
    train(config, tmp_path)
    before = final_weights(tmp_path)
    changed = json.loads(json.dumps(config))
    changed["model"]["backbone_options"]["filters"] = 8
    with pytest.raises(ValueError, match="another config .model.backbone_options.filters: 4 there, 8 now"):
        train(changed, tmp_path)
    content = json.loads((tmp_path / "model.json").read_text())
    content["model"]["config"]["backbone"]["config"]["layers"].pop(1)  # a version before there was this layer
    (tmp_path / "model.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="choose another --workdir. Received: ImageBlock here and not there"):
        train(config, tmp_path)
    assert json.loads((tmp_path / "model.json").read_text()) == content
    for name, value in final_weights(tmp_path).items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_a_run_in_mixed_precision_leaves_a_model_in_float32(precision, tmp_path):
    config = builder.with_precision(make_config(num_steps=4), precision)
    train(config, tmp_path)
    layers = zoo.from_preset(tmp_path).backbone._flatten_layers()
    assert {layer.dtype_policy.name for layer in layers} == {"float32"}
    assert {layer.dtype_policy.name for layer in builder.build_model(config).backbone.layers} == {precision}
    assert keras.config.dtype_policy().name == "float32"
    train({**config, "outer": {**config["outer"], "num_steps": 6}}, tmp_path)  # the loss scale is in the checkpoint
    with pytest.raises(ValueError, match=f"another config .precision: .?{precision}"):
        train(make_config(num_steps=6), tmp_path)


@pytest.mark.parametrize(
    "schedule, text, next_rate",
    [
        (
            "cosine",
            "continued: from step 4 on to 8 in place of 4; the cosine schedule is drawn anew over all 8 steps, so the learning "
            "rate goes on at 0.0005, where it was 0, and ends at 0",
            0.001 * (1 + math.cos(math.pi * 6 / 8)) / 2,
        ),
        ("constant", "continued: from step 4 on to 8 in place of 4; the learning rate is constant as before", 0.001),
    ],
)
def test_a_finished_run_goes_on_when_more_steps_are_asked_for(schedule, text, next_rate, tmp_path, capsys):
    train(make_config("MAML", schedule=schedule, num_steps=4), tmp_path)
    capsys.readouterr()
    more = make_config("MAML", schedule=schedule, num_steps=8)
    train(more, tmp_path, command="the second command")
    assert text in capsys.readouterr().out.splitlines()
    records = workdir.read_metrics(tmp_path)
    assert [record["step"] for record in records if "loss" in record] == [2, 4, 6, 8]
    assert records[-3]["step"] == 6
    np.testing.assert_allclose(records[-3]["learning_rate"], next_rate, rtol=1e-5)
    metadata = preset_metadata(tmp_path)
    assert metadata["config"]["outer"]["num_steps"] == 8
    assert (metadata["command"], metadata["continued"]) == (
        "the command",
        [{"step": 4, "command": "the second command"}],
    )
    metadata |= {"training": protocols.training_cost(tmp_path), "results": []}
    assert "- Command: `the command`, and from step 4 on `the second command`" in model_card("run", metadata, 1)
    with pytest.raises(
        ValueError, match="`config.outer.num_steps` must be at least 8, the steps that .* has done. Received: 6"
    ):
        train(make_config("MAML", schedule=schedule, num_steps=6), tmp_path)
    assert preset_metadata(tmp_path) == {key: metadata[key] for key in preset_metadata(tmp_path)}
    assert workdir.read_metrics(tmp_path) == records


def test_a_card_names_every_machine_that_a_run_ran_on(tmp_path, monkeypatch):
    machines = ["2 CPU cores (x86_64), no GPU", "16 CPU cores (x86_64), no GPU", "16 CPU cores (x86_64), no GPU"]
    for number, machine in enumerate(machines, start=1):
        monkeypatch.setattr(loop, "describe_machine", lambda machine=machine: machine)
        train(make_config("MAML", schedule="constant", num_steps=4 * number), tmp_path)
    assert protocols.training_cost(tmp_path)["machine"] == "; then ".join(machines[:2])


def test_results_go_when_the_weights_they_were_measured_on_go(tmp_path, monkeypatch):
    train(make_config(num_steps=4), tmp_path)
    results, tasks = protocols.evaluate_preset(tmp_path)
    write_results(tmp_path, results, tasks, weights_stamp(tmp_path))
    assert (tmp_path / "card.md").exists() and preset_metadata(tmp_path)["results"] == results
    for best, remains in ((False, True), (True, False)):
        monkeypatch.setattr(loop.Trainer, "is_best", lambda self, logs, best=best: best)
        train(make_config(num_steps=8 if best else 6), tmp_path)
        assert ("results" in preset_metadata(tmp_path)) == (tmp_path / "card.md").exists() == remains


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    train(make_config(), tmp_path / "run")
    other = make_config()
    other["model"]["backbone_options"]["filters"] = 8
    (tmp_path / "run" / "config.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match="is not a checkpoint of this model"):
        train(other, tmp_path / "run")


def test_an_unwritable_workdir_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="`--workdir` must be a folder that can be written"):
        train(make_config(), tmp_path / "file" / "run")


def test_results_are_over_the_asked_episodes_and_repeatable(tmp_path):
    train(make_config(), tmp_path)
    (first,), _ = protocols.evaluate_preset(tmp_path)
    (again,), _ = protocols.evaluate_preset(tmp_path)
    (more,), _ = protocols.evaluate_preset(tmp_path, num_episodes=40)
    (other,), _ = protocols.evaluate_preset(tmp_path, seed=1)
    assert first == again and first["episodes"] == 10 and more["episodes"] == 40
    assert first["mean"] != other["mean"]
    assert 0 < more["ci95"] < first["ci95"] and math.isfinite(more["mean"])
    with pytest.raises(ValueError, match="`--protocols` must be among .*Received: .'5way'"):
        protocols.evaluate_preset(tmp_path, only=["5way"])


@pytest.mark.parametrize(
    "part, field, value, message",
    [
        ("model", "method", "MAMLL", "`config.model.method` must be one of"),
        ("model", "backbone", "resnet", "Unknown backbone"),
        ("outer", "schedule", "quadratic", "`config.outer.schedule` must be one of"),
        ("outer", "learning_rate", math.nan, "`config.outer.learning_rate` must be a number.* Received: .*=nan"),
        ("outer", "learning_rate", math.inf, "`config.outer.learning_rate` must be a number.* Received: .*=inf"),
        (
            "outer",
            "optimizer_options",
            {"weight_decay": math.nan},
            "`config.outer.optimizer_options.weight_decay` must be",
        ),
        ("dataset", "name", "mnist", "Unknown data set"),
        ("train", "way", 11, "`way` must be at most the number of classes, 10"),
        ("train", "shot", 9, "has 8. Received: shot=9"),
    ],
)
def test_bad_configs_are_named(part, field, value, message, tmp_path):
    config = make_config()
    config[part][field] = value
    with pytest.raises(ValueError, match=message):
        train(config, tmp_path)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
