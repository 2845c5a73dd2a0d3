"""Ways to convolve where every task has a kernel of its own, and how long they take."""

import statistics
import time

import tensorflow as tf

from zoo.core import batched_operations, convolution

_ROUNDS = 7  # turns of each way, of which the median counts
# Tasks, images of a task, height and width, channels in and out: layers of Conv-4 in MAML's steps
CASES = ((4, 75, 14, 64, 64), (32, 5, 14, 64, 64), (4, 75, 28, 1, 64), (4, 75, 42, 32, 32))


def ways():
    """{name: function from images [T, B, H, W, C] and kernels [T, 3, 3, C, F] to maps [T, B, H, W, F]}."""

    def one_by_one(images, kernels):
        return tf.map_fn(lambda task: tf.nn.conv2d(*task, 1, "SAME"), (images, kernels), fn_output_signature=tf.float32)

    def grouped(images, kernels):
        values = (batched_operations.side_by_side(images), batched_operations.side_by_side(kernels))
        return batched_operations.apart(tf.nn.conv2d(*values, 1, "SAME"), tf.shape(images)[:1])

    def patches(images, kernels):
        def task(values):
            return convolution.product(convolution.patches(values[0], (3, 3)), values[1])

        return tf.vectorized_map(task, (images, kernels))

    return {"one by one": one_by_one, "grouped": grouped, "patches": patches}


def milliseconds(case):
    """{way: median of a forward and a backward pass}; the ways take turns. None for one that the device has not."""
    num_tasks, rows, size, channels, filters = case
    images = tf.random.stateless_normal([num_tasks, rows, size, size, channels], [0, 0])
    kernels = tf.random.stateless_normal([num_tasks, 3, 3, channels, filters], [0, 1])

    def step(convolve):
        with tf.GradientTape() as tape:
            tape.watch([images, kernels])
            total = tf.reduce_sum(convolve(images, kernels) ** 2)
        return tape.gradient(total, [images, kernels])

    steps = {name: tf.function(step, autograph=False).get_concrete_function(way) for name, way in ways().items()}
    seconds = {name: [] for name in steps}
    for turn in range(1 + _ROUNDS):
        for name, take in steps.items():
            start = time.perf_counter()
            try:
                [slopes.numpy() for slopes in take()]
            except tf.errors.OpError:  # gradients of grouped convolutions are oneDNN's alone on a CPU
                continue
            seconds[name] += [time.perf_counter() - start] * (turn > 0)
    return {name: 1000 * statistics.median(times) if times else None for name, times in seconds.items()}
