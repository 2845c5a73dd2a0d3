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


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
