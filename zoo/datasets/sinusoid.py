"""Sinusoid regression, the toy problem of MAML."""

import dataclasses
import math

import tensorflow as tf

from zoo.datasets.options import HIGHEST_SEED, check_int
from zoo.datasets.streams import ENDLESS, check_start, drawn_ahead

SUBSETS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class SinusoidTasks:
    """Tasks y = A sin(x - phi), amplitude A ~ U(0.1, 5), phase phi ~ U(0, pi), x ~ U(-5, 5).

    Finn, Abbeel, Levine: Model-Agnostic Meta-Learning, ICML 2017, section 5.1.
    """

    stream: int = 0

    @property
    def input_shape(self):
        """Shape of one input: a point."""
        return (1,)

    def episodes(self, shot=5, query=5, num_tasks=25, seed=0, start=0, shard=(1, 0), way=None):
        """Endless episodes as a tf.data.Dataset of `(x, y)`, all float32: points [T, shot, 1], targets [T, shot, 1].

        Args:
            shot: support points per task.
            query: query points per task.
            num_tasks: tasks per batch.
            seed, start, shard: as in `ImageClasses.episodes`.
            way: must be None; here so that every data set is called alike.

        Raises:
            ValueError: for counts below 1, a seed out of range, or a `way`.
        """
        self.check_episodes(shot, query, num_tasks, way)
        check_int("seed", seed, 0, (HIGHEST_SEED - self.stream) // len(SUBSETS))
        check_start(start, shard, num_tasks)

        def sample_task(number):  # by its number alone, so that batching and sharding change no task
            seeds = tf.random.split(tf.stack([tf.constant(seed * len(SUBSETS) + self.stream, tf.int64), number]), 3)
            amplitude = tf.random.stateless_uniform([], seeds[0], 0.1, 5.0)
            phase = tf.random.stateless_uniform([], seeds[1], 0.0, math.pi)
            points = tf.random.stateless_uniform([shot + query, 1], seeds[2], -5.0, 5.0)
            return points, amplitude * tf.sin(points - phase)

        def sample_batch(number):
            numbers = number * num_tasks + tf.range(num_tasks, dtype=tf.int64)
            spec = tf.TensorSpec([shot + query, 1], tf.float32)
            points, targets = tf.map_fn(sample_task, numbers, fn_output_signature=(spec, spec))
            x = {"support_x": points[:, :shot], "support_y": targets[:, :shot], "query_x": points[:, shot:]}
            return x, targets[:, shot:]

        return drawn_ahead(tf.data.Dataset.range(start, ENDLESS // num_tasks).shard(*shard).map(sample_batch))

    def check_episodes(self, shot=5, query=5, num_tasks=25, way=None):
        """Raises the ValueError that `episodes` would raise for these counts."""
        if way is not None:
            raise ValueError(f"Sinusoid tasks have no classes: `way` must be None. Received: way={way}")
        for name, value in (("shot", shot), ("query", query), ("num_tasks", num_tasks)):
            check_int(name, value, 1)


def load(subset="train"):
    """Sinusoid tasks; the subsets draw from the same distribution by different seeds. Raises ValueError if unknown."""
    if subset not in SUBSETS:
        raise ValueError(f"`subset` must be one of {SUBSETS}. Received: subset={subset!r}")
    return SinusoidTasks(SUBSETS.index(subset))
