"""One training step over two replicas is that over one: BatchNorm normalizes by the tasks of all."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.core.batch_norm import BatchNorm
from zoo.core.image_block import ImageBlock
from zoo.core.replica_statistics import combined, over_replicas


def test_combined_statistics_are_those_of_all_values(mirrored):
    """Three values on one replica, seven on the other; NumPy's mean and variance of all ten."""
    values = np.random.default_rng(0).normal(5.0, 2.0, (10, 4))

    @tf.function(autograph=False)
    def run():
        def of_replica():
            first = tf.equal(tf.distribute.get_replica_context().replica_id_in_sync_group, 0)
            own = tf.cond(first, lambda: tf.constant(values[:3]), lambda: tf.constant(values[3:]))
            mean, variance = tf.reduce_mean(own, 0), tf.math.reduce_variance(own, 0)
            with over_replicas():
                return combined(mean, variance, tf.cast(tf.shape(own)[0], tf.float64))

        return mirrored.run(of_replica)

    for mean, variance, count in zip(*map(mirrored.experimental_local_results, run())):
        np.testing.assert_allclose(mean, values.mean(0), rtol=1e-12)
        np.testing.assert_allclose(variance, values.var(0), rtol=1e-12)
        assert float(count) == 10


def trained(strategy, over, **clipping):
    """The variables of a Prototypical Network after three steps of four tasks, shared out by a strategy."""
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(2), (3, 4, 1)).repeat(2, axis=-1)  # [steps, T, 2 classes x 2 rows]
    images = (
        rng.normal(size=(2, 3, 4, 4, 6, 6, 1)) * np.arange(1, 5)[:, None, None, None, None]
    )  # tasks of other contrast
    with strategy.scope():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6, 6, 1))
        x = ImageBlock(4, statistics="running")(inputs)
        x = BatchNorm("running")(keras.layers.Conv2D(4, 3, use_bias=False)(x))
        model = zoo.PrototypicalNetwork(keras.Model(inputs, keras.layers.Flatten()(keras.activations.relu(x))))
        model.statistics_over_replicas = over
        model.compile(keras.optimizers.SGD(0.1, **clipping))
        model.optimizer.build(model.trainable_variables)
    num_tasks = 4 // strategy.num_replicas_in_sync

    def step(support_x, support_y, query_x):
        first = tf.distribute.get_replica_context().replica_id_in_sync_group * num_tasks
        support_x, y, query_x = (values[first : first + num_tasks] for values in (support_x, support_y, query_x))
        model.train_step(({"support_x": support_x, "support_y": y, "query_x": query_x}, y))

    run = tf.function(lambda *batch: strategy.run(step, args=batch), autograph=False)
    for support_x, support_y, query_x in zip(np.float32(images[0]), labels, np.float32(images[1])):
        run(tf.constant(support_x), tf.constant(support_y), tf.constant(query_x))
    return {variable.path: variable.numpy() for variable in model.variables if "seed" not in variable.path}


def test_two_replicas_train_the_weights_of_one(mirrored):
    one, two = trained(tf.distribute.get_strategy(), True), trained(mirrored, True)
    assert any("moving_variance" in name for name in one)
    for value, same in zip(one.values(), two.values(), strict=True):
        np.testing.assert_allclose(same, value, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("clipping", [{"global_clipnorm": 0.1}, {"clipnorm": 0.05}, {"clipvalue": 0.01}], ids=repr)
def test_the_whole_gradient_is_clipped_whatever_the_replicas(mirrored, clipping):
    """An optimizer of Keras clips what each of them has."""
    free, one = trained(tf.distribute.get_strategy(), True), trained(tf.distribute.get_strategy(), True, **clipping)
    assert max(np.abs(value - other).max() for value, other in zip(one.values(), free.values())) > 1e-3
    for value, same in zip(one.values(), trained(mirrored, True, **clipping).values(), strict=True):
        np.testing.assert_allclose(same, value, rtol=2e-5, atol=2e-6)


@pytest.mark.slow
def test_each_replica_normalizes_by_its_own_tasks_where_asked_to(mirrored):
    one, apart = trained(tf.distribute.get_strategy(), True), trained(mirrored, False)
    assert max(np.abs(value - other).max() for value, other in zip(one.values(), apart.values())) > 1e-3


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
