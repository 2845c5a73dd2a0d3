"""What ends a run before its steps are done, or says at its end that it was for nothing."""

import math
import os
import re
import signal
import sys

import numpy as np
import pytest
import tensorflow as tf

import zoo
from commands import signals
from tests.trainers.small_runs import (
    final_weights,
    make_config,
    pretrain,
    pretraining_config,
    small_classes,  # noqa: F401
    train,
)
from trainers import base_classifier, builder, distribute, divergence, loop, workdir
from trainers.checkpoints import restore_latest


class Left(BaseException):
    """In place of the end of the process."""


@pytest.fixture
def terminate(monkeypatch):
    """A function that sends this process SIGTERM, which is handled as in a binary."""

    def leave(text, status):
        raise Left(text, status)

    monkeypatch.setattr(signals, "leave", leave)
    before = signals.end_at_once(signal.SIGTERM, "terminated")
    yield lambda: os.kill(os.getpid(), signal.SIGTERM)
    signal.signal(signal.SIGTERM, before)


def spaced(config, every):
    """The config with records, checkpoints and validations after so many steps."""
    config["validation"]["every"] = config["log_every"] = config["checkpoint_every"] = every
    return config


def assert_same_run(one, other):
    weights = final_weights(other)
    for name, value in final_weights(one).items():
        np.testing.assert_array_equal(value, weights.pop(name), err_msg=name)
    assert not weights
    records = [[{**record, "seconds": 0} for record in workdir.read_metrics(folder)] for folder in (one, other)]
    assert records[0] == records[1]
    for value, same in zip(*(zoo.from_preset(folder).get_weights() for folder in (one, other)), strict=True):
        np.testing.assert_array_equal(value, same)


def test_sigterm_saves_where_the_run_stands_and_it_ends_as_if_none_had_come(tmp_path, terminate, monkeypatch):
    """Once between two records, whose means go on, and once in a validation, which is made up for."""
    config = spaced(make_config("MAML", schedule="cosine"), 6)
    train(config, tmp_path / "straight")
    calls = {"train_step": 0, "test_step": 0}
    fatal = {"train_step": 2, "test_step": 1}

    def call(self, step, iterator, num_steps, original=loop.Trainer._call):
        lost = original(self, step, iterator, num_steps)
        calls[step.__name__] += 1
        if calls[step.__name__] == fatal[step.__name__]:
            terminate()
        return lost

    with monkeypatch.context() as patched:
        patched.setattr(loop.Trainer, "_call", call)
        with pytest.raises(signals.Resumable, match="^terminated: step [2-5] is saved, and the same command continues"):
            train(config, tmp_path / "stopped")
        assert workdir.read_metrics(tmp_path / "stopped") == []
        with pytest.raises(Left, match="terminated: step 6 is saved, and the same command continues from there.*75"):
            train(config, tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "model.weights.h5").exists()
    train(config, tmp_path / "stopped")
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")


def test_sigterm_does_not_wait_for_pretraining_to_trace_its_step(tmp_path, terminate, monkeypatch):
    def train_step(self, data, original=base_classifier._Classifier.train_step):
        terminate()
        return original(self, data)

    monkeypatch.setattr(base_classifier._Classifier, "train_step", train_step)
    with pytest.raises(Left, match="terminated: the same command continues from the last checkpoint"):
        pretrain(pretraining_config(), tmp_path)
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.slow
def test_sigterm_stops_pretraining_alike(tmp_path, terminate, monkeypatch):
    config = spaced(pretraining_config(learning_rate=0.02), 6)
    pretrain(config, tmp_path / "straight")

    def on_train_batch_end(self, batch, logs=None, original=base_classifier._Watch.on_train_batch_end):
        if batch == 3:
            terminate()
        original(self, batch, logs)

    with monkeypatch.context() as patched:
        patched.setattr(base_classifier._Watch, "on_train_batch_end", on_train_batch_end)
        with pytest.raises(signals.Resumable, match="^terminated: step 4 is saved"):
            pretrain(config, tmp_path / "stopped")
    pretrain(config, tmp_path / "stopped")
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")


def test_a_checkpoint_without_the_sums_of_metrics_is_gone_on_from(tmp_path):
    """Older versions wrote none."""
    variable = tf.Variable(3.0)
    restore_latest(tf.train.Checkpoint(step=variable), tmp_path / "checkpoints", True)[0].save(checkpoint_number=4)
    variable.assign(0.0)
    files = workdir.Workdir(tmp_path, make_config())
    assert files.checkpointer([tf.Variable(0.0)], step=variable).latest_checkpoint.endswith("ckpt-4")
    assert float(variable) == 3.0


@pytest.mark.parametrize("losses, expected", [([1, 2, 3, 4], -1), ([1, 2, math.inf, 4], 2), ([math.nan, 2, 3, 4], 0)])
def test_the_first_step_that_loses_a_replica_is_found_in_the_graph(losses, expected, mirrored):
    for strategy in (tf.distribute.get_strategy(), mirrored):
        batches = np.repeat(np.float32(losses), strategy.num_replicas_in_sync)
        dataset = strategy.distribute_datasets_from_function(
            lambda _, batches=batches: tf.data.Dataset.from_tensor_slices(batches)
        )
        last = strategy.num_replicas_in_sync - 1  # the replica that has the loss

        def step(loss, last=last):
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            return {"loss": tf.where(tf.equal(replica, last), loss, 1.0)}

        @tf.function(autograph=False)
        def run(iterator, strategy=strategy, step=step):
            return distribute.run_steps(strategy, step, iterator, tf.constant(4))

        assert int(run(iter(dataset))) == expected


def test_a_loss_that_is_not_finite_stops_with_its_step_and_batch(tmp_path):
    config = make_config("MAML")
    config["model"]["options"]["inner_learning_rate"] = 1e38  # one inner step overflows float32
    with pytest.raises(
        loop.DivergenceError, match="The loss must stay finite. Received: (nan|inf) at step 1 "
    ) as raised:
        train(config, tmp_path)
    assert raised.value.status == 3
    path, seed = tmp_path / "diverged_step_1.npz", builder.stream_seed(config["seed"], "train")
    assert f"by the batch start=0 of seed={seed}, {path}. The last checkpoint is None" in str(raised.value)
    x, y = next(iter(zoo.datasets.load("patterns").episodes(way=3, shot=1, query=2, num_tasks=2, seed=seed)))
    with np.load(path) as saved:
        assert sorted(saved) == ["query_x", "support_x", "support_y", "y"]
        for name, value in {**x, "y": y}.items():
            np.testing.assert_array_equal(saved[name], value)
    assert not list((tmp_path / "checkpoints").glob("*.index")) and not (tmp_path / "model.weights.h5").exists()


def test_a_validation_whose_loss_is_not_finite_stops_the_run_each_time(tmp_path):
    """Of MAML that takes more inner steps there than in training, say: what they leave is no best."""
    config = spaced(make_config("MAML", num_steps=2), 2)

    def validate(self, original=loop.Trainer.validate):
        return {**original(self), "validation_loss": math.nan}

    for _ in range(2):
        with pytest.MonkeyPatch.context() as patched, pytest.raises(loop.DivergenceError) as raised:
            patched.setattr(loop.Trainer, "validate", validate)
            train(config, tmp_path)
        text = f"must stay finite. Received: nan at step 2, by the weights of {tmp_path / 'checkpoints' / 'ckpt-2'};"
        assert text in str(raised.value)
        assert not (tmp_path / "model.weights.h5").exists()
    train(config, tmp_path)
    zoo.from_preset(tmp_path)


@pytest.mark.slow
def test_pretraining_stops_with_its_step_and_batch(tmp_path):
    config = pretraining_config(learning_rate=1e38)
    with pytest.raises(loop.DivergenceError, match="Received: (nan|inf) at step 2 by the batch start=1 of seed"):
        pretrain(config, tmp_path)
    batches = zoo.datasets.load("patterns").labelled_batches(10, builder.stream_seed(config["seed"], "train"), start=1)
    images, labels = next(iter(batches))
    with np.load(tmp_path / "diverged_step_2.npz") as saved:
        np.testing.assert_array_equal(saved["images"], images)
        np.testing.assert_array_equal(saved["labels"], labels)


@pytest.mark.parametrize(
    "kind, message, expected",
    [
        (tf.errors.NotFoundError, "Graph execution error:\n\nDetected at node a\n{{node a}} c0/1.png; No such file\n\t[[b]]", "c0/1.png; No such file"),
        (tf.errors.ResourceExhaustedError, "{{function_node b}} OOM when allocating tensor", "OOM when allocating tensor"),
        (tf.errors.InvalidArgumentError, "a\nb assertion failed: [`way` must be 5]\n\t[[c]]", "[`way` must be 5]"),
    ],
)  # fmt: skip
def test_a_step_that_fails_ends_the_run_in_one_line(kind, message, expected, tmp_path, monkeypatch):
    """Of pretraining as well, whose steps are those of `fit`."""

    def fail(*_):
        raise kind(None, None, message)

    monkeypatch.setattr(loop.Trainer, "train_until", fail)
    with pytest.raises(loop.TrainingError, match=f"^{re.escape(expected)}$"):
        train(make_config(), tmp_path)


def test_a_run_that_has_learned_nothing_says_so_each_time(tmp_path):
    config = spaced(make_config("MAML", learning_rate=1e6, num_steps=2), 2)
    for _ in range(2):
        with pytest.raises(
            loop.DivergenceError, match="has learned nothing: its last loss is .*guessing has 1.1"
        ) as raised:
            train(config, tmp_path)
        assert raised.value.status == 3 and (tmp_path / "model.weights.h5").exists()


@pytest.mark.parametrize(
    "arguments, expected",
    [
        # ln 5 = 1.609, and a thousand times that is 1609; 2 steps are enough to see it
        ((2, 1700.0, "accuracy", 0.2, 0.01, 0.2), "its last loss is 1.7e+03, and guessing has 1.61"),
        ((2, 1600.0, "accuracy", 0.2, 0.01, 0.2), None),
        ((2, 4.9e8, "mean_squared_error", 4.9e8, 1.0, 4.0), "its last loss is 4.9e+08, and guessing has 4"),
        ((100, 1.6, "accuracy", 0.209, 0.01, 0.2), "its last validation accuracy is 20.90 ± 1.00 %, and guessing has 20.00 %"),
        ((100, 1.6, "accuracy", 0.15, 0.01, 0.2), "its last validation accuracy is 15.00 ± 1.00 %, and guessing has 20.00 %"),
        ((100, 1.6, "accuracy", 0.211, 0.01, 0.2), None),
        ((99, 1.6, "accuracy", 0.2, 0.01, 0.2), None),  # few steps try something out
        ((100, 1.6, "accuracy", 0.2, 0.11, 0.2), None),  # too few episodes to tell
        ((100, 3.9, "mean_squared_error", 4.2, 0.5, 4.0), None),  # not surely worse than the mean target
        ((100, 5.0, "mean_squared_error", 5.0, 0.5, 4.0), "its last validation mean squared error is 5.000 ± 0.500, and guessing has 4"),
    ],
)  # fmt: skip
def test_what_has_been_learned_is_judged_without_false_alarms(arguments, expected):
    assert divergence.nothing_learned(*arguments) == expected


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
