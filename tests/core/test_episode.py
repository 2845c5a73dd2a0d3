import sys

import numpy as np
import pytest
import tensorflow as tf

from zoo.core import episode


def test_cross_entropy_by_hand_without_the_padded_row():
    logits = tf.math.log([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.0, 0.0, 1.0]]])
    np.testing.assert_allclose(
        episode.cross_entropy(tf.constant([[0, 1, -1]]), logits), [-(np.log(0.5) + np.log(0.8)) / 2], rtol=1e-6
    )


def test_accuracy_by_hand_without_the_padded_row():
    logits = tf.constant([[[2.0, 1.0], [1.0, 2.0], [2.0, 1.0], [9.0, 0.0]]])
    np.testing.assert_allclose(episode.accuracy(tf.constant([[0, 1, 1, -1]]), logits), [2 / 3], rtol=1e-6)


def test_a_task_of_padding_alone_has_loss_and_accuracy_zero():
    labels, logits = tf.constant([[-1, -1]]), tf.ones([1, 2, 3])
    assert episode.cross_entropy(labels, logits) == 0 and episode.accuracy(labels, logits) == 0


def test_class_counts_ignore_labels_out_of_range():
    np.testing.assert_array_equal(episode.class_counts(tf.constant([[0, 0, 2, -1, 3]]), 3), [[2, 0, 1]])


def test_mask_leaves_a_task_without_any_support_alone():
    logits = tf.constant([[[1.0, 2.0]], [[1.0, 2.0]]])
    masked = episode.mask_absent_classes(logits, tf.constant([[0.0, 0.0], [3.0, 0.0]]))
    np.testing.assert_array_equal(masked[0], logits[0])
    np.testing.assert_array_equal(tf.nn.softmax(masked[1]), [[1.0, 0.0]])


def test_mask_has_finite_gradients():
    logits = tf.constant([[[1.0, 2.0, 3.0]]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        masked = episode.mask_absent_classes(logits, tf.constant([[1.0, 1.0, 0.0]]))
        loss = episode.cross_entropy(tf.constant([[0]]), masked)
    gradient = tape.gradient(loss, logits).numpy()
    assert np.isfinite(gradient).all() and gradient[0, 0, 2] == 0


def test_regression_targets_are_checked():
    images = tf.zeros([2, 3, 1])
    with pytest.raises(ValueError, match=r"`y` must be float \[T, rows, 1\] for a regression model"):
        episode.check_targets("y", tf.zeros([2, 3], tf.int64), images, target_size=1)


@pytest.mark.parametrize("known", [None, [None, None, 4, 4], [None, None, None, 2]], ids=["rank", "rows", "side"])
def test_images_are_checked_where_a_graph_was_traced_for_several_shapes(known):
    """As Keras' `fit` traces it once it has seen arrays of two ranks."""
    take = tf.function(
        lambda images: episode.as_images("query_x", images, (4, 2), tf.float32),
        input_signature=[tf.TensorSpec(known)],
        autograph=False,
    )
    if known and known[-1] == 4:
        with pytest.raises(
            ValueError, match=r"^`query_x` must be float \[T, rows, 4, 2\], tasks first. Received: dtype="
        ):
            take(tf.zeros([1, 3, 4, 4]))
        return
    assert take(tf.zeros([1, 3, 4, 2])).shape == (1, 3, 4, 2)
    assert take.get_concrete_function().structured_outputs.shape.as_list() == [None, None, 4, 2]
    for shape in ([1, 3, 8, 2], [1, 3, 4]) if known is None else ([1, 3, 8, 2],):
        with pytest.raises(
            tf.errors.InvalidArgumentError, match=r"`query_x` must be float \[T, rows, 4, 2\], tasks first"
        ):
            take(tf.zeros(shape))


@pytest.mark.parametrize("in_graph", [False, True])
def test_labels_without_support_are_refused(in_graph):
    """Per task: class 1 has support in the second task alone."""

    def check(support_y, query_y):
        episode.answerable_assertion(support_y, query_y)
        return query_y

    check = tf.function(check) if in_graph else check
    support_y = tf.constant([[0, 2, -1], [0, 1, 2]], tf.int64)
    check(support_y, tf.constant([[2, -1], [1, 0]], tf.int64))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"must have a support row .*\s*.*Received: label"):
        check(support_y, tf.constant([[2, 1], [1, 0]], tf.int64))


def test_an_absent_class_has_probability_0_at_any_scale():
    """Squared distances of images around 1e5 pass any constant."""
    counts = tf.constant([[1.0, 0.0, 2.0]])
    for scale in (1.0, 1e9, 1e12, 1e30):
        logits = scale * tf.constant([[[-3.0, -2.0, -1.0], [5.0, 1.0, 4.0], [-2.0, -3.0, -2.0]]])
        probabilities = tf.nn.softmax(episode.mask_absent_classes(logits, counts))
        np.testing.assert_array_equal(probabilities[0, :, 1], [0, 0, 0])
        present = tf.nn.softmax(tf.gather(logits, [0, 2], axis=-1))
        np.testing.assert_allclose(tf.gather(probabilities, [0, 2], axis=-1), present, rtol=1e-6)
    # -1 is no number of images, but a state that was forged may hold it: then no class is there, and all stay as they are.
    np.testing.assert_array_equal(episode.mask_absent_classes(logits, -tf.ones([1, 3])), logits)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
