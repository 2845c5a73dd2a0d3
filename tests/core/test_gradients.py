import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.core import gradients


@pytest.mark.parametrize("run", [lambda f: f(), lambda f: tf.function(f, autograph=False)()], ids=["eager", "graph"])
def test_unused_sources_get_zeros_and_looked_up_rows_a_dense_gradient(run):
    table, unused = keras.Variable(np.ones([3, 2], "float32")), keras.Variable(np.ones([4], "float32"))
    tensor = tf.ones([2])

    def compute():
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            loss = 2.0 * tf.reduce_sum(tf.gather(tf.convert_to_tensor(table.value), [1, 1]))
        return gradients.gradient(tape, loss, {"table": table, "unused": unused, "tensor": tensor})

    result = run(compute)
    np.testing.assert_array_equal(result["table"], [[0, 0], [4, 4], [0, 0]])
    np.testing.assert_array_equal(result["unused"], np.zeros(4))
    np.testing.assert_array_equal(result["tensor"], np.zeros(2))


@pytest.mark.parametrize("clipping", [{}, {"clipnorm": 1.0}], ids=repr)
@pytest.mark.parametrize("overflowing", [0, 1])
def test_where_one_replica_overflows_none_takes_the_step(overflowing, clipping, mirrored):
    with mirrored.scope():
        weight = keras.Variable(np.ones(3, "float32"))
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, **clipping), initial_scale=8.0)
        optimizer.build([weight])

    def step(overflowing):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        loss = tf.where(replica == overflowing, np.inf, 1.0) * tf.ones([3])
        slopes = [gradients.shared_scale(optimizer)(loss)]
        optimizer.apply(gradients.whole(slopes, optimizer), [weight])

    run = tf.function(lambda overflowing: mirrored.run(step, (overflowing,)), autograph=False)
    run(tf.constant(overflowing))
    for copy in weight.value.values:
        np.testing.assert_array_equal(copy, np.ones(3))
    assert float(optimizer.scale_loss(1.0)) == 4.0
    run(tf.constant(-1))
    norm = 1.0 if clipping else 3**0.5
    for copy in weight.value.values:
        np.testing.assert_allclose(copy, np.full(3, 1 - 0.1 * norm / 3**0.5), rtol=1e-6)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
