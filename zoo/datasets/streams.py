"""Endless streams of batches, drawn ahead of the step that uses them."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from zoo.datasets.options import check_int, is_int

ENDLESS = np.iinfo(np.int64).max
_AHEAD = 2**28  # bytes of batches that wait, and of those in the making


@dataclasses.dataclass(frozen=True)
class Pace:
    """How fast a stream is drawn.

    Attributes:
        num_threads: threads that the stream has of its own.
        num_ahead: batches that may wait.
        calls: arguments of tf.data.Dataset.map, for batches in the making at the same time; the order stays.
    """

    num_threads: int = 1
    num_ahead: int = 4
    calls: dict = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, source, num_images):
        """For batches of so many images of a source, on all cores where they must be decoded, within _AHEAD bytes."""
        num_batches = max(1, _AHEAD // (4 * num_images * math.prod(source.shape[1:])))
        num_threads = source.num_threads
        calls = {} if num_threads == 1 else {"num_parallel_calls": min(num_threads, num_batches), "deterministic": True}
        return cls(num_threads, min(4, num_batches), calls)


def drawn_ahead(dataset, pace=None):
    """The dataset, drawn on threads of its own ahead of the training step; tf.distribute leaves its shards alone."""
    pace, options = pace or Pace(), tf.data.Options()
    options.threading.private_threadpool_size = pace.num_threads
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options).prefetch(pace.num_ahead)


def handed_on(source):
    """A dataset that repeats the tensors of a source.

    As an element they are handed on; captured by the functions that draw, they would be copied for each iterator, and stay
    until Python next looks for cycles.
    """
    return tf.data.Dataset.from_tensors(source).repeat()


def check_start(start, shard, num_tasks):
    """Raises ValueError where episodes cannot start so, or be shared out so."""
    check_int("start", start, 0, ENDLESS // num_tasks - 1)
    is_pair = isinstance(shard, (list, tuple)) and len(shard) == 2 and all(is_int(part) for part in shard)
    if not is_pair or not 0 <= shard[1] < shard[0]:
        raise ValueError(f"`shard` must be (number of shards, index below it). Received: shard={shard!r}")
