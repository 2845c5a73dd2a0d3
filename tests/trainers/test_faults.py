"""What a run survives: broken files, a second process, a process that was killed."""

import contextlib
import json
import os
import shutil
import signal
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests.trainers.small_runs import (
    final_weights,
    make_config,
    pretrain,
    pretraining_config,
    small_classes,  # noqa: F401
    train,
)
from trainers import class_record, protocols, workdir
from trainers.base_classifier import save_backbone
from trainers.checkpoints import find_checkpoints, restore_latest
from trainers.loop import TrainingError
from trainers.workdir import Workdir


def saved(folder, steps=(4, 8, 12)):
    """A checkpoint of a vector that holds the step, after these steps; two are kept."""
    vector = tf.Variable(tf.zeros([1000]))
    checkpoint = tf.train.Checkpoint(vector=vector)
    manager, whole = restore_latest(checkpoint, folder, True)
    assert whole is None and manager.latest_checkpoint is None
    for step in steps:
        vector.assign(tf.fill([1000], float(step)))
        manager.save(checkpoint_number=step)
    vector.assign(tf.zeros([1000]))
    return checkpoint


def file_of(folder, step, kind):
    (path,) = folder.glob(f"ckpt-{step}.{kind}*")
    return path


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize(
    "kind, damage",
    [
        ("data", truncate),
        ("data", empty),
        ("data", flip_a_bit),
        ("data", os.unlink),
        ("index", truncate),
        ("index", empty),
        ("index", os.unlink),
    ],
)
def test_the_checkpoint_before_a_broken_one_is_restored_and_said(kind, damage, tmp_path, capsys):
    checkpoint = saved(tmp_path)
    damage(file_of(tmp_path, 12, kind))
    manager, whole = restore_latest(checkpoint, tmp_path, True)
    np.testing.assert_array_equal(checkpoint.vector, np.full(1000, 8.0))
    assert whole == manager.latest_checkpoint == str(tmp_path / "ckpt-8")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{tmp_path / 'ckpt-12'} cannot be read (")
    assert line.endswith(f"): the run goes on from {tmp_path / 'ckpt-8'}")
    manager.save(checkpoint_number=12)
    assert restore_latest(checkpoint, tmp_path, True)[1] == str(tmp_path / "ckpt-12")
    assert capsys.readouterr().out == "" and len(find_checkpoints(tmp_path)) == 2


@pytest.mark.parametrize("damage", [os.unlink, empty, flip_a_bit, lambda path: path.write_text("garbage")])
def test_checkpoints_are_found_without_their_list(damage, tmp_path, capsys):
    checkpoint = saved(tmp_path)
    damage(tmp_path / "checkpoint")
    manager, whole = restore_latest(checkpoint, tmp_path, True)
    np.testing.assert_array_equal(checkpoint.vector, np.full(1000, 12.0))
    assert whole == manager.latest_checkpoint == str(tmp_path / "ckpt-12") and capsys.readouterr().out == ""
    manager.save(checkpoint_number=16)
    assert find_checkpoints(tmp_path) == [str(tmp_path / name) for name in ("ckpt-16", "ckpt-12")]


def test_a_run_killed_in_writing_its_first_checkpoint_begins_anew(tmp_path, capsys):
    """TensorFlow writes the index in place, and lists a checkpoint when it is whole."""
    folder = tmp_path / "checkpoints"
    checkpoint = tf.train.Checkpoint(vector=tf.Variable(np.zeros(1000)))
    tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=2).save(checkpoint_number=4)
    truncate(file_of(folder, 4, "index"))
    with pytest.raises(ValueError, match="must hold a checkpoint that can be read"):
        restore_latest(checkpoint, folder, True)
    (folder / "checkpoint").unlink()
    manager, whole = restore_latest(checkpoint, folder, True)
    assert whole is None and capsys.readouterr().out.endswith("the run begins anew\n")
    manager.save(checkpoint_number=4)
    assert restore_latest(checkpoint, folder, True)[1] == str(folder / "ckpt-4")
    (folder / "checkpoint").unlink()
    truncate(file_of(folder, 4, "index"))
    (tmp_path / "model.weights.h5").touch()  # a validation has been, whose weights a new beginning would replace
    with pytest.raises(ValueError, match="must hold a checkpoint that can be read"):
        restore_latest(checkpoint, folder, True)


def test_without_a_checkpoint_that_can_be_read_nothing_begins(tmp_path):
    checkpoint = saved(tmp_path)
    for step in (8, 12):
        empty(file_of(tmp_path, step, "data"))
    with pytest.raises(ValueError, match="must hold a checkpoint that can be read; remove it to begin the run anew"):
        restore_latest(checkpoint, tmp_path, True)


def test_a_run_with_broken_files_ends_as_it_ended_before(tmp_path, capsys):
    config = make_config("MAML")
    train(config, tmp_path)
    weights, metrics = final_weights(tmp_path), workdir.read_metrics(tmp_path)
    preset = zoo.from_preset(tmp_path).get_weights()
    truncate(file_of(tmp_path / "checkpoints", 12, "data"))
    (tmp_path / "checkpoints" / "ckpt-12_temp").mkdir()
    (tmp_path / "checkpoints" / "checkpoint.tmp0a1b").write_text("half")
    (tmp_path / ".scratch-x").mkdir()
    (tmp_path / "metrics.jsonl.tmp").write_text("half")
    (tmp_path / "model.json").unlink()
    (tmp_path / ".lock").write_text("process 1 on a machine")
    train(config, tmp_path)
    assert f"the run goes on from {tmp_path / 'checkpoints' / 'ckpt-8'}" in capsys.readouterr().out
    for name, value in final_weights(tmp_path).items():
        np.testing.assert_array_equal(value, weights[name], err_msg=name)
    assert [{**record, "seconds": 0} for record in workdir.read_metrics(tmp_path)] == [
        {**record, "seconds": 0} for record in metrics
    ]
    for one, other in zip(zoo.from_preset(tmp_path).get_weights(), preset, strict=True):
        np.testing.assert_array_equal(one, other)
    left = [
        path.name
        for pattern in ("*.tmp", ".*", "checkpoints/*_temp", "checkpoints/*.tmp*")
        for path in tmp_path.glob(pattern)
    ]
    assert left == []


def test_a_second_process_is_refused_and_told_of_the_first(tmp_path):
    config = make_config()
    with Workdir(tmp_path, config).locked():
        with pytest.raises(ValueError, match=f"{tmp_path} is in use by process {os.getpid()} on .*: wait for it"):
            train(config, tmp_path)
        with Workdir(tmp_path, config, writes=False).locked():
            pass
    with Workdir(tmp_path, config).locked():
        pass


def fork_and_live(function):
    """Forks a child, which calls a function and lives on for a while; returns its id after the call."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            function()
            os.write(writer, b"x")
            time.sleep(20)
        finally:
            os._exit(0)
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    return child


@pytest.mark.parametrize("leaves", [False, True])
def test_a_forked_child_neither_keeps_a_lock_nor_releases_it(leaves, tmp_path):
    """One that loads data, say: it may outlive its parent, and an exception may lead it out of its parent's context."""
    files = Workdir(tmp_path, make_config())
    with contextlib.ExitStack() as context:
        context.enter_context(
            files.locked() if leaves else workdir._lock(tmp_path / ".lock")
        )  # a killed parent removes nothing
        child = fork_and_live(context.close if leaves else lambda: None)
        with pytest.raises(ValueError, match="is in use"), files.locked():
            pass
    try:
        with files.locked():
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_full_disk_stops_a_run_that_goes_on_when_there_is_room(tmp_path, monkeypatch):
    config = make_config("MAML")
    train(config, tmp_path / "straight")
    usage = shutil.disk_usage(tmp_path)

    def save(manager, checkpoint_number, original=tf.train.CheckpointManager.save):
        if checkpoint_number == 8:
            raise tf.errors.ResourceExhaustedError(None, None, "No space left on device\nat somewhere")
        return original(manager, checkpoint_number)

    folder = tmp_path / "full"
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
        with pytest.raises(TrainingError, match="full cannot be written: .* are needed and 1,000 free") as raised:
            train(config, folder)
        assert len(str(raised.value).splitlines()) == 1 and not (folder / "model.weights.h5").exists()
    with monkeypatch.context() as patched:
        patched.setattr(tf.train.CheckpointManager, "save", save)
        with pytest.raises(TrainingError, match="No space left on device. When it can, .* goes on from .*ckpt-4$"):
            train(config, folder)
    train(config, folder)
    straight = final_weights(tmp_path / "straight")
    for name, value in final_weights(folder).items():
        np.testing.assert_array_equal(value, straight[name], err_msg=name)
    steps = [record["step"] for record in workdir.read_metrics(folder)]
    assert steps == [record["step"] for record in workdir.read_metrics(tmp_path / "straight")]


def test_a_disk_that_is_still_full_is_said_in_a_line(tmp_path, monkeypatch):
    """TensorFlow lists the checkpoints anew when a run goes on."""
    checkpoint = saved(tmp_path)

    def full(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "{{node}} checkpoint.tmp; No space left on device")

    monkeypatch.setattr(tf.compat.v1.train, "update_checkpoint_state", full)
    with pytest.raises(TrainingError, match=f"^{tmp_path} cannot be written: checkpoint.tmp; No space .*ckpt-12$"):
        restore_latest(checkpoint, tmp_path, True)


def test_a_checkpoint_without_a_loss_scale_is_named(tmp_path):
    """Once, `trainers.pretrain` trained in mixed_float16 without one."""
    weight = keras.Variable(np.ones(3, "float32"))
    before, now = keras.optimizers.AdamW(), keras.optimizers.LossScaleOptimizer(keras.optimizers.AdamW())
    for optimizer in (before, now):
        optimizer.build([weight])
    manager, _ = restore_latest(tf.train.Checkpoint(optimizer=before), tmp_path, True)
    manager.save(checkpoint_number=4)
    message = "ckpt-4 is not .*: expected the loss scale of mixed_float16. Received: an optimizer without one, [^\n]*$"
    with pytest.raises(ValueError, match=message):
        restore_latest(tf.train.Checkpoint(optimizer=now), tmp_path, True)
    manager.save(checkpoint_number=8)
    restore_latest(tf.train.Checkpoint(optimizer=before), tmp_path, True)


def test_weights_without_the_record_of_their_validation_are_not_evaluated(tmp_path):
    """Killed between the first validation and the first checkpoint, and begun anew: the records went, the weights stayed."""
    for content in (None, "", json.dumps({"step": 2, "loss": 1.0}) + "\n"):
        if content is not None:
            (tmp_path / "metrics.jsonl").write_text(content)
        with pytest.raises(ValueError, match="must hold the record of a validation, in metrics.jsonl: [^\n]*$"):
            protocols.training_cost(tmp_path)


@pytest.mark.parametrize("damage", [os.unlink, empty, truncate])
def test_kept_weights_that_are_lost_are_replaced_by_those_of_the_next_validation(damage, tmp_path, capsys):
    config = make_config("MAML")
    train(config, tmp_path)
    damage(tmp_path / "model.weights.h5")
    train(config, tmp_path)
    assert f"{tmp_path / 'model.weights.h5'} cannot be read (" in capsys.readouterr().out
    assert protocols.training_cost(tmp_path)["kept_step"] == 12
    zoo.from_preset(tmp_path)
    train(config, tmp_path)
    assert "cannot be read" not in capsys.readouterr().out


def test_weights_without_records_are_replaced_by_those_of_the_next_validation(tmp_path, capsys):
    """Else a card would name the step of the best validation since then as theirs."""
    config = make_config("MAML")
    train(config, tmp_path)
    (tmp_path / "metrics.jsonl").unlink()
    before = (tmp_path / "model.weights.h5").stat().st_mtime_ns
    train(config, tmp_path)
    assert f"{tmp_path} has weights and no records, of metrics.jsonl, that tell of them" in capsys.readouterr().out
    assert (tmp_path / "model.weights.h5").stat().st_mtime_ns > before
    validated = [record for record in workdir.read_metrics(tmp_path) if "validation_loss" in record]
    assert [record["step"] for record in validated] == [12]


def test_a_backbone_that_is_lost_is_written_again(tmp_path):
    pretrain(pretraining_config(), tmp_path)
    (tmp_path / "backbone.weights.h5").unlink()
    pretrain(pretraining_config(), tmp_path)
    assert (tmp_path / "backbone.weights.h5").stat().st_size


def test_a_backbone_waits_for_room(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(OSError, match="are needed and 1,000 free"):
        save_backbone(zoo.backbones.conv4((16, 16, 1), filters=2), tmp_path)
    assert not list(tmp_path.iterdir())


def test_events_that_cannot_be_written_stop_a_run_in_one_line(tmp_path):
    """A full disk, say, when the file of events is begun."""
    (tmp_path / "tensorboard").write_text("no folder")
    with pytest.raises(TrainingError, match="cannot be written: .*Not a directory") as raised:
        train(make_config(), tmp_path)
    assert len(str(raised.value).splitlines()) == 1


def test_broken_records_are_named(tmp_path):
    good = json.dumps({"step": 2, "loss": 1.0}) + "\n"
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{good}{{"step": 4, "lo')
    assert workdir.read_metrics(tmp_path) == [{"step": 2, "loss": 1.0}]
    for bad in ('{"step": 4, "lo\n', "[1]\n", '{"loss": 1}\n', '{"step": NaN}\n'):
        path.write_text(f"{good}{bad}{good}")
        with pytest.raises(
            ValueError, match="Line 2 of .*metrics.jsonl must be a JSON object with a step: mend or remove"
        ):
            workdir.read_metrics(tmp_path)
    for bad in ("{", "[]", "[1]", "{}", "null"):
        (tmp_path / "config.json").write_text(bad)
        with pytest.raises(ValueError, match="config.json must be the config of the run, as JSON. Received: "):
            Workdir(tmp_path, make_config())
    for bad in ("{", "[]", '{"train": 5}', '{"train": [5]}'):
        (tmp_path / "classes.json").write_text(bad)
        with pytest.raises(ValueError, match="classes.json must be the record of the run's classes. Received: "):
            class_record.check_run(tmp_path, {})


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
