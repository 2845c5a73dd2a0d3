"""The files of one training run."""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import socket
import weakref

import h5py
import numpy as np
import tensorflow as tf

from commands.sources import check_output_folder, writable_folder
from trainers.builder import option_defaults
from trainers.checkpoints import restore_latest
from trainers.events import keep_events_until
from zoo.core.files import SCRATCH, write_text
from zoo.presets.loader import CARD_FILE, WEIGHTS_FILE, preset_metadata
from zoo.presets.writer import save_preset_config, save_preset_weights

LOCK_FILE = ".lock"
METRICS_FILE = "metrics.jsonl"
LOST = "kept_weights_lost"  # in a record: what was validated before it is no more
EVALUATION_FILE = "evaluation.json"
AD_HOC_FILE = "ad_hoc_evaluation.json"
EPISODE_FILE = "episode.png"
PRESENTATIONS_FILE = "presentations.png"
# What an evaluation says of the weights that are there.
RESULT_FILES = (CARD_FILE, EVALUATION_FILE, AD_HOC_FILE, EPISODE_FILE, PRESENTATIONS_FILE)
# What a run is: a workdir belongs to one value of these. The other fields may change between starts.
IDENTITY = ("seed", "dataset", "train", "model", "outer", "validation", "init_from", "precision")
_FREE = ("outer.num_steps",)
_OF_DATA = "model.backbone_options.input_shape"  # where None; every other one is held against the data


class Workdir:
    """A folder that belongs to one run: config, checkpoints, metrics, and the best weights in the layout of a preset.

    Every file is replaced whole, and the checkpoint last: a process killed at any moment leaves a run that goes on from
    its last checkpoint and writes the same files again.

    Args:
        path: the folder; made where missing.
        config: the config as plain data.
        writes: whether this process writes; False for the other workers of a distributed run, which only read.

    Raises:
        ValueError: where the folder cannot be written, or holds a run of another config, or a preset.
    """

    def __init__(self, path, config, writes=True):
        self.path = pathlib.Path(path)
        self.writes = writes
        self._config = config
        if writes:
            check_output_folder(path, "--workdir")
            writable_folder(path, "--workdir")
        self._check_no_preset()
        self._check_same_run()

    @property
    def has_weights(self):
        """Whether a validation has kept weights here; a killed process may have left them without a checkpoint."""
        return (self.path / WEIGHTS_FILE).is_file()

    @property
    def config_before(self):
        """The config of the last start in this folder; None where there was none."""
        path = self.path / "config.json"
        if not path.is_file():
            return None
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(config, dict) or "outer" not in config:
                raise ValueError(str(config)[:80])
            return config
        except ValueError as error:
            raise ValueError(f"{path} must be the config of the run, as JSON. Received: {error}") from error

    def _check_no_preset(self):
        """Raises ValueError where the model there is that of no run, `save_preset` wrote it: training would replace it."""
        metadata = self.metadata() if self.config_before is None else None
        if metadata is not None and "config" not in metadata:
            raise ValueError(
                f"`--workdir` must be a new folder, or that of a training run. Received: {self.path}, which holds a preset, and "
                "training would replace it"
            )

    def _check_same_run(self):
        if (before := self.config_before) is None:
            return
        defaults = option_defaults(self._config)
        changes = [
            f"{name}: {old!r} there, {new!r} now"
            for part in IDENTITY
            for name, old, new in _differences(part, before.get(part), self._config.get(part))
            if name not in _FREE and not _says_the_same(name, old, new, defaults)
        ]
        if changes:
            raise ValueError(
                f"{self.path} holds a run of another config ({'; '.join(changes)}). "
                "Continue it with its own config, or choose another --workdir"
            )

    def claim(self):
        """Makes the folder this config's. For when model and data are built: a config that fails claims nothing."""
        if self.writes:
            write_text(self.path / "config.json", json.dumps(self._config, indent=1) + "\n")

    @contextlib.contextmanager
    def locked(self):
        """Context in which no other process trains in the folder, whatever becomes of this one.

        Raises:
            ValueError: where another process trains there.
        """
        if not self.writes:
            yield
            return
        path = self.path / LOCK_FILE
        with _lock(path) as file:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            self._clean_up()
            try:
                yield
            finally:
                if not file.closed:  # it is where this is a child, see `_lock`
                    path.unlink(missing_ok=True)

    def _clean_up(self):
        """Removes what a killed process left half written."""
        for path in [*self.path.glob(f"{SCRATCH}*"), *self.path.glob("checkpoints/ckpt-*_temp")]:
            shutil.rmtree(path, ignore_errors=True)
        for pattern in ("*.tmp", "tensorboard/*.tmp", "checkpoints/checkpoint.tmp*", ".shared-*"):
            for path in self.path.glob(pattern):
                path.unlink(missing_ok=True)

    def checkpointer(self, sums, **objects):
        """A tf.train.CheckpointManager of these objects, restored to the latest checkpoint that can be read, if any.

        `sums` is a list of variables that checkpoints of older versions lack.
        """
        required = tf.train.Checkpoint(**objects)
        whole = tf.train.Checkpoint(sums=sums, **objects)
        return restore_latest(whole, self.path / "checkpoints", self.writes, required)[0]

    def event_writer(self):
        """Context in which `record` also writes TensorBoard events."""
        if not self.writes:
            return contextlib.nullcontext()
        return tf.summary.create_file_writer(str(self.path / "tensorboard")).as_default()

    def record(self, values):
        """Adds one line to metrics.jsonl, and its values to TensorBoard."""
        if not self.writes:
            return
        with open(self.path / METRICS_FILE, "a", encoding="utf-8") as file:
            file.write(json.dumps({key: _plain(value) for key, value in values.items()}) + "\n")
        for name, value in values.items():
            tf.summary.scalar(name, value, step=values["step"])

    def drop_records_after(self, step):
        """Forgets the metrics and the TensorBoard events that a killed process wrote past its last checkpoint."""
        path = self.path / METRICS_FILE
        if not self.writes:
            return
        if path.is_file():
            kept = [record for record in read_metrics(self.path) if record["step"] <= step]
            write_text(path, "".join(json.dumps(record) + "\n" for record in kept))
        keep_events_until(self.path / "tensorboard", step)

    def records(self):
        """The records so far, see `read_metrics`."""
        return read_metrics(self.path)

    def lost_weights(self, names):
        """Why the weights that a validation has kept cannot be read, in words; None where all of their files can be opened."""
        for name in names:
            try:
                h5py.File(self.path / name).close()
            except OSError as error:
                return f"{self.path / name} cannot be read ({str(error).splitlines()[0]})"
        return None

    def metadata(self):
        """The metadata of model.json; None where it is missing or broken."""
        try:
            return preset_metadata(self.path)
        except ValueError:
            return None

    def describe_model(self, model, metadata):
        """Writes model.json."""
        if self.writes:
            save_preset_config(model, self.path, metadata)

    def keep_weights(self, model):
        """Writes the weights, the best so far; what an evaluation said of those before goes."""
        if not self.writes:
            return
        metadata = self.metadata() or {}
        if "results" in metadata:
            save_preset_config(model, self.path, {key: value for key, value in metadata.items() if key != "results"})
        for name in RESULT_FILES:
            (self.path / name).unlink(missing_ok=True)
        save_preset_weights(model, self.path)


def read_metrics(path):
    """The records of metrics.jsonl, none where it is missing; a last line that was cut off is left out.

    Raises:
        ValueError: for any other line that is no record.
    """
    path, records = pathlib.Path(path) / METRICS_FILE, []
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            if not record["step"] >= 0:
                raise ValueError(line)
            records.append(record)
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines) and not line.endswith("\n"):
                break
            raise ValueError(
                f"Line {number} of {path} must be a JSON object with a step: mend or remove it. Received: {line[:60]!r}"
            ) from error
    return records


def validations(records):
    """Those of a run's records that are of a validation: where its kept weights were lost, those since then."""
    lost = [number for number, record in enumerate(records) if LOST in record]
    return [record for record in records[max(lost, default=0) :] if "validation_loss" in record]


_HELD = weakref.WeakSet()  # the files of locks


@contextlib.contextmanager
def _lock(path):
    """The file of a lock, held. Raises ValueError where another process holds it; a killed one holds nothing.

    A child that is forked off does not hold it: it would go on to when its parent is gone.
    """
    while True:
        with open(path, "a+", encoding="utf-8") as file:
            _HELD.add(file)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise ValueError(
                    f"{path.parent} is in use by {file.read() or 'another process'}: wait for it, or choose another --workdir"
                ) from error
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                yield file
                return


def _close_locks():
    for file in list(_HELD):
        file.close()


os.register_at_fork(after_in_child=_close_locks)


def _plain(value):
    return float(np.float32(value)) if isinstance(value, (float, np.floating)) else value


def _says_the_same(name, old, new, defaults):
    """Whether one of two values of a field, None or left out, is what the other says; a config may have come to name a default."""
    given = [value for value in (old, new) if value is not None]
    return len(given) == 1 and (name == _OF_DATA or (name in defaults and given == [defaults[name]]))


def _differences(name, old, new):
    if isinstance(new, dict) and isinstance(old, (dict, type(None))):
        old = old or {}  # a run may be older than an option that it does not use
        for key in sorted(set(old) | set(new)):
            yield from _differences(f"{name}.{key}", old.get(key), new.get(key))
    elif old != new:
        yield name, old, new
