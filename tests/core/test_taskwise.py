import sys

import numpy as np
import pytest
import tensorflow as tf

from zoo.core.task_loop import tasks_at_once
from zoo.core.taskwise import map_tasks, minibatch, usable_support


def test_usable_support_takes_padding_out():
    x = tf.reshape(tf.range(4.0), [4, 1])
    labels = tf.constant([1, -1, 0, -1])
    rows, row_labels, weights = usable_support(x, labels, labels >= 0)
    np.testing.assert_array_equal(rows, [[0], [2]])
    np.testing.assert_array_equal(row_labels, [1, 0])
    np.testing.assert_array_equal(weights, [1, 1])


@pytest.mark.parametrize("num_rows", [0, 3])
def test_usable_support_gives_one_row_of_weight_zero_where_there_is_none(num_rows):
    labels = tf.fill([num_rows], -1)
    rows, _, weights = usable_support(tf.ones([num_rows, 2, 2, 1]), labels, labels >= 0)
    assert rows.shape == (1, 2, 2, 1) and float(tf.reduce_sum(tf.abs(rows))) == 0
    np.testing.assert_array_equal(weights, [0])


def test_an_error_in_a_task_leaves_strategies_usable():
    """`tf.map_fn` left a device in a scope that outlives its graph."""

    @tf.function
    def fails(values):
        def function(_):
            raise ValueError("in a task")

        return map_tasks(function, values, tf.TensorSpec([], tf.float32))

    with pytest.raises(ValueError, match="in a task"):
        fails(tf.zeros([2, 3]))
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        assert tf.Variable(1.0).numpy() == 1


def test_map_tasks_is_the_function_of_each_task():
    values = tf.reshape(tf.range(6.0), [3, 2])
    sums = map_tasks(tf.reduce_sum, values, tf.TensorSpec([], tf.float32))
    np.testing.assert_array_equal(sums, [1, 5, 9])


def test_usable_support_keeps_padding_behind_where_tasks_are_run_at_once():
    x = tf.constant([[1.0], [np.nan], [3.0], [np.inf]])
    labels = tf.constant([1, -1, 0, -1])
    with tasks_at_once():
        rows, row_labels, weights = usable_support(x, labels, labels >= 0)
    np.testing.assert_array_equal(rows, [[1], [3], [0], [0]])
    np.testing.assert_array_equal(row_labels, [1, 0, 0, 0])
    np.testing.assert_array_equal(weights, [1, 1, 0, 0])


def test_minibatches_begin_again_when_the_usable_rows_are_used_up():
    weights = tf.constant([1.0, 1.0, 1.0, 0.0])
    assert [minibatch(step, 2, weights).numpy().tolist() for step in range(3)] == [[0, 1], [2, 0], [1, 2]]
    assert minibatch(1, 2, tf.zeros(3)).numpy().tolist() == [0, 0]
    assert minibatch(1, None, weights).numpy().tolist() == [0, 1, 2, 3]


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
