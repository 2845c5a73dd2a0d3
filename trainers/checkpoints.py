"""Checkpoints of a run, of which the last may be broken."""

import pathlib
import re
import time

import tensorflow as tf

from trainers.errors import TrainingError
from zoo.core.graph_errors import line_of
from zoo.presets.loader import WEIGHTS_FILE

_FILE = re.compile(r"ckpt-(\d+)\.(index|data-\d+-of-\d+)")
_KEPT = 2


def restore_latest(checkpoint, folder, writes, required=None):
    """Restores the latest checkpoint that can be read, by its files and not by the file `checkpoint` that lists them.

    Args:
        checkpoint: tf.train.Checkpoint.
        required: tf.train.Checkpoint of what must be there, where older versions wrote less than `checkpoint`; all when None.
        folder: of the checkpoints; may be missing.
        writes: whether this process writes checkpoints; it then says which of them cannot be read.

    Returns:
        (tf.train.CheckpointManager, path of what was restored or None).

    Raises:
        ValueError: where no checkpoint can be read, unless it is the first of its run, whose writing was stopped; or where the one that
            can be read is of another model.
        TrainingError: where the list of checkpoints cannot be written.
    """
    folder = pathlib.Path(folder)
    faults, whole, older = {}, None, find_checkpoints(folder)
    while older and whole is None:
        path = older.pop(0)
        faults[path] = fault_of(path)
        whole = path if faults[path] is None else None
    broken = {path: fault for path, fault in faults.items() if fault}
    if broken and whole is None and not _is_unfinished(folder, broken):
        raise ValueError(
            f"{folder} must hold a checkpoint that can be read; remove it to begin the run anew. Received: {_in_words(broken)}"
        )
    if broken and writes:
        rest = (
            f"the run goes on from {whole}"
            if whole
            else "the process was stopped in writing its first, and the run begins anew"
        )
        print(f"{_in_words(broken)}: {rest}", flush=True)
    if whole and writes:
        listed = [*reversed(older), whole]
        # Without times the manager would take them for those to keep for ever.
        times = [time.time()] * len(listed)
        try:
            tf.compat.v1.train.update_checkpoint_state(str(folder), whole, listed, None, times, 0.0)
        except tf.errors.OpError as error:
            raise cannot_be_written(folder, error, whole) from error
    if whole:
        try:
            (required or checkpoint).restore(whole).assert_existing_objects_matched().expect_partial()
            if required:
                checkpoint.restore(whole).expect_partial()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            raise ValueError(
                f"{whole} is not a checkpoint of this model: {_difference(checkpoint, whole, error)}"
            ) from error
    return tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=_KEPT), whole


def cannot_be_written(folder, error, latest):
    """The TrainingError for what a disk refuses, in one line: an OSError or one of TensorFlow's; `latest` as a manager has it."""
    reason = line_of(error) if isinstance(error, tf.errors.OpError) else str(error).splitlines()[0]
    rest = f"When it can, the same command goes on from {latest or 'the beginning'}"
    return TrainingError(f"{folder} cannot be written: {reason}. {rest}")


def _difference(checkpoint, path, error):
    """What a checkpoint lacks, in words, where TensorFlow's own do not tell."""
    names = tf.train.load_checkpoint(path).get_variable_to_shape_map()
    if hasattr(getattr(checkpoint, "optimizer", None), "dynamic_scale") and not any(
        "dynamic_scale" in name for name in names
    ):
        return (
            "expected the loss scale of mixed_float16. Received: an optimizer without one, of a version that scaled no loss; "
            "begin anew in another --workdir"
        )
    return line_of(error) if isinstance(error, tf.errors.OpError) else str(error)


def _is_unfinished(folder, broken):
    """Whether what cannot be read is what a process left that was killed while it wrote the first checkpoint of its run.

    None is listed yet, and there are no weights, which a validation writes and a new beginning would replace.
    """
    return len(broken) == 1 and not (folder / "checkpoint").exists() and not (folder.parent / WEIGHTS_FILE).exists()


def find_checkpoints(folder):
    """Paths of the checkpoints of a folder, whole or not, the latest first."""
    steps = {int(match[1]) for path in folder.glob("ckpt-*") if (match := _FILE.fullmatch(path.name))}
    return [str(folder / f"ckpt-{step}") for step in sorted(steps, reverse=True)]


def fault_of(path):
    """What keeps a checkpoint from being read, in words; None where every tensor can be read."""
    try:
        reader = tf.train.load_checkpoint(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (
        tf.errors.OpError,
        IndexError,
        RuntimeError,
        ValueError,
    ) as error:  # what TensorFlow raises for each kind of fault
        lines = str(error).splitlines() or [""]
        return f"{type(error).__name__}: {lines[0]}"
    return None


def _in_words(broken):
    return ", ".join(f"{path} cannot be read ({fault})" for path, fault in broken.items())
