"""What the processes of a distributed run tell each other."""

import contextlib
import functools
import json
import os
import pathlib
import time
import zlib

import numpy as np
import tensorflow as tf

from commands import signals

_VISIBLE = 60.0  # seconds after which a file must be seen by other machines


def num_processes(strategy):
    """How many processes train together."""
    return getattr(strategy.extended, "_num_workers", 1)


def gather(strategy, values):
    """Whole numbers of every process of a strategy: int64 [processes, n], the same on all, in the order of the workers.

    Every process must call it with as many. Where there is one process, nothing is sent.
    """
    if num_processes(strategy) == 1:
        return np.array([values], np.int64)
    rows = _gatherer(strategy)(
        tf.constant(np.array([values], np.int64))
    ).numpy()  # one per replica, those of a process together
    return rows.reshape(num_processes(strategy), -1, len(values))[:, 0]


def check_alike(strategy, config):
    """Raises ValueError, on every process, unless all of them have the same config, plain data."""
    number = zlib.crc32(json.dumps(config, sort_keys=True).encode())
    numbers = gather(strategy, [number])[:, 0]
    if others := [str(worker) for worker in np.flatnonzero(numbers != numbers[0])]:
        raise ValueError(
            f"`--config` and its fields must be the same on all workers. Received: others at worker {', '.join(others)}"
        )


def check_shared(strategy, folder, writes):
    """Raises ValueError, on every process, unless all of them see the files that the one that `writes` writes into a folder."""
    if num_processes(strategy) == 1:
        return
    number = int.from_bytes(os.urandom(7), "big") if writes else 0
    if writes:
        _shared_file(folder, number).write_text("")
    number = int(gather(strategy, [number]).max())
    path, end = _shared_file(folder, number), time.monotonic() + _VISIBLE
    while not (seen := path.exists()) and time.monotonic() < end and pathlib.Path(folder).exists():
        time.sleep(0.1)
    apart = [number for number, (sees,) in enumerate(gather(strategy, [seen])) if not sees]
    if writes:
        path.unlink()
    if apart:
        raise ValueError(
            f"`--workdir` must be one folder that all workers share. Received: {folder}, where worker "
            f"{', '.join(map(str, apart))} does not see what the chief writes"
        )


@contextlib.contextmanager
def lost_workers(strategy):
    """Context of what fails where another process ends: it says so, and that the run can be continued.

    Raises:
        Resumable: in place of TensorFlow's error.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if num_processes(strategy) == 1:
            raise
        raise signals.Resumable(
            "stopped: another worker has ended, or cannot be reached. The same command on all workers continues from the last "
            "checkpoint"
        ) from error


def _shared_file(folder, number):
    return pathlib.Path(folder, f".shared-{number}")


@functools.lru_cache(maxsize=1)
def _gatherer(strategy):
    """The compiled function [1, n] -> [replicas, n]."""

    @tf.function(autograph=False)
    def gather_rows(rows):
        def of_replica():
            own = tf.identity(rows)  # on the device of the replica, which the collective is placed by
            return tf.distribute.get_replica_context().all_gather(own, axis=0)

        return strategy.experimental_local_results(strategy.run(of_replica))[0]

    return gather_rows
