"""How tasks are shared out among workers and their devices."""

import sys

import numpy as np
import pytest
import tensorflow as tf

import zoo
from trainers.distribute import worker_batches

TASKS = 8
SINUSOIDS = zoo.datasets.load("sinusoid", "train")


def make_dataset(num_tasks, start, shard):
    return SINUSOIDS.episodes(shot=2, query=1, num_tasks=num_tasks, seed=3, start=start, shard=shard)


def batches_of(workers, devices, start_step, num_steps):
    """The global batches of a layout, put together from what its workers read: [step, worker, device] -> images of tasks."""
    read = []
    for worker in range(workers):
        context = tf.distribute.InputContext(workers, worker, num_replicas_in_sync=workers * devices)
        dataset = worker_batches(make_dataset, TASKS, start_step, context)
        (x, _) = dataset.element_spec
        assert x["support_x"].shape[0] == TASKS // (workers * devices)
        batches = [x["support_x"].numpy() for x, _ in dataset.take(num_steps * devices)]
        read.append(np.reshape(batches, [num_steps, devices, -1, *batches[0].shape[1:]]))
    return np.stack(read, axis=1)


@pytest.mark.parametrize("workers, devices", [(1, 2), (1, 8), (2, 1), (2, 2), (2, 4), (4, 2), (8, 1)])
def test_every_layout_shares_out_the_same_tasks_each_once(workers, devices):
    expected = [x["support_x"].numpy() for x, _ in make_dataset(TASKS, 5, (1, 0)).take(3)]
    batches = batches_of(workers, devices, start_step=5, num_steps=3)
    assert len({task.tobytes() for batch in expected for task in batch}) == 3 * TASKS
    for batch, tasks in zip(batches, expected):
        np.testing.assert_array_equal(batch.reshape(tasks.shape), tasks)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
