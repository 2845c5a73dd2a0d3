"""The files of one training run."""

import json
import os
import pathlib

import numpy as np
import tensorflow as tf

from trainers.builder import IDENTITY
from zoo.presets.loader import write_text


class Workdir:
    """A folder that belongs to one run: config, checkpoints, metrics, and the best weights in the layout of a preset.

    Every file is replaced whole, and the checkpoint last: a process killed at any moment leaves a run that goes on from
    its last checkpoint and writes the same files again.

    Args:
        path: the folder; made where missing.
        config: the config as plain data.

    Raises:
        ValueError: where the folder cannot be written, or holds a run of another config.
    """

    def __init__(self, path, config):
        self.path = pathlib.Path(path)
        self.metrics_path = self.path / "metrics.jsonl"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_text(self.path / ".writable", "")
            os.unlink(self.path / ".writable")
        except OSError as error:
            raise ValueError(
                f"`--workdir` must be a folder that can be written. Received: {path}: {error.strerror}"
            ) from error
        self._claim(config)

    def _claim(self, config):
        path = self.path / "config.json"
        if path.is_file():
            before = json.loads(path.read_text())
            changes = [
                f"{name}: {old!r} there, {new!r} now"
                for part in IDENTITY
                for name, old, new in _differences(part, before.get(part), config[part])
            ]
            if changes:
                raise ValueError(
                    f"{self.path} holds a run of another config ({'; '.join(changes)}). "
                    "Continue it with its own config, or choose another --workdir"
                )
        write_text(path, json.dumps(config, indent=1) + "\n")

    def checkpointer(self, **objects):
        """A tf.train.CheckpointManager of these objects, restored to the latest checkpoint where there is one."""
        checkpoint = tf.train.Checkpoint(**objects)
        manager = tf.train.CheckpointManager(checkpoint, str(self.path / "checkpoints"), max_to_keep=2)
        if manager.latest_checkpoint:
            try:
                checkpoint.restore(manager.latest_checkpoint).assert_existing_objects_matched()
            except (AssertionError, ValueError, tf.errors.OpError) as error:
                raise ValueError(f"{manager.latest_checkpoint} is not a checkpoint of this model: {error}") from error
        return manager

    def append_metrics(self, record):
        """Adds one line to metrics.jsonl."""
        with open(self.metrics_path, "a", encoding="utf-8") as file:
            file.write(json.dumps({key: _plain(value) for key, value in record.items()}) + "\n")

    def drop_metrics_after(self, step):
        """Forgets the lines that a killed process wrote past its last checkpoint."""
        if self.metrics_path.is_file():
            kept = [record for record in read_metrics(self.path) if record["step"] <= step]
            write_text(self.metrics_path, "".join(json.dumps(record) + "\n" for record in kept))


def read_metrics(path):
    """The records of metrics.jsonl; a last line that was cut off is left out."""
    records = []
    for line in (pathlib.Path(path) / "metrics.jsonl").read_text().splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def _plain(value):
    return float(np.float32(value)) if isinstance(value, (float, np.floating)) else value


def _differences(name, old, new):
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(set(old) | set(new)):
            yield from _differences(f"{name}.{key}", old.get(key), new.get(key))
    elif old != new:
        yield name, old, new
