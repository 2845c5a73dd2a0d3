import sys

import numpy as np
import pytest
import tensorflow as tf

from zoo.core.row_order import class_balanced_order, content_keys

_PRIME = 2**31 - 1


def reference_key(row):
    """In Python's integers, number by number."""
    total = 0
    for place, bits in enumerate(np.asarray(row, np.float32).ravel().view(np.int32), start=1):
        total += int(bits) * (place * 48271) ** 2
    return total * 16807 % _PRIME


def test_keys_against_a_reference():
    rows = np.random.default_rng(0).standard_normal((4, 3, 2)).astype(np.float32)
    np.testing.assert_array_equal(content_keys(tf.constant(rows)), [reference_key(row) for row in rows])


def test_keys_of_large_images_do_not_overflow():
    rows = np.full([1, 300, 300, 3], -1.0, np.float32)
    assert content_keys(tf.constant(rows)).numpy().tolist() == [reference_key(rows)]


@pytest.mark.parametrize("in_graph", [False, True])
def test_a_permutation_of_the_rows_gives_the_same_rows_in_the_same_order(in_graph):
    """Also of rows that differ in one bit, or in nothing."""
    rng = np.random.default_rng(0)
    rows = rng.random((12, 5), np.float32)
    rows[3], rows[7] = rows[2], np.nextafter(rows[6], np.float32(2))
    labels = np.array([0, 0, 1, 1, 2, 2, 2, 2, 0, 1, 1, 0])
    order_of = tf.function(class_balanced_order) if in_graph else class_balanced_order
    first = class_balanced_order(tf.constant(rows), tf.constant(labels)).numpy()
    assert sorted(first) == list(range(12))
    for seed in range(5):
        shuffled = np.random.default_rng(seed).permutation(12)
        order = order_of(tf.constant(rows[shuffled]), tf.constant(labels[shuffled])).numpy()
        np.testing.assert_array_equal(rows[shuffled][order], rows[first])
        np.testing.assert_array_equal(labels[shuffled][order], labels[first])


def test_classes_take_turns():
    rows = np.random.default_rng(0).random((7, 4), np.float32)
    labels = np.array([2, 2, 2, 2, 0, 0, 5])
    order = class_balanced_order(tf.constant(rows), tf.constant(labels)).numpy()
    np.testing.assert_array_equal(labels[order], [0, 2, 5, 0, 2, 2, 2])
    keys = [reference_key(row) for row in rows[order]]
    assert keys[0] < keys[3] and keys[1] < keys[4] < keys[5] < keys[6]


def test_without_labels_rows_come_by_their_keys_alone():
    rows = np.linspace(0, 1, 8, dtype=np.float32)[:, None]
    order = class_balanced_order(tf.constant(rows)).numpy()
    np.testing.assert_array_equal(order, np.argsort([reference_key(row) for row in rows]))
    assert order.tolist() != sorted(order)


def test_rows_of_weight_zero_come_last_and_change_nothing():
    rng = np.random.default_rng(0)
    rows, labels = rng.random((6, 4), np.float32), np.array([1, 0, 1, 1, 0, 0])
    counted = np.array([0, 2, 3, 5])
    weights = np.isin(np.arange(6), counted).astype(np.float32)
    order = class_balanced_order(*map(tf.constant, (rows, labels, weights))).numpy()
    alone = class_balanced_order(tf.constant(rows[counted]), tf.constant(labels[counted])).numpy()
    np.testing.assert_array_equal(order[:4], counted[alone])
    assert sorted(order[4:]) == [1, 4]


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
