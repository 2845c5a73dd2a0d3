"""Which images a plain batch shows, for training without episodes."""

import tensorflow as tf

_ROUNDS = 4  # of the cipher that permutes


def shuffled_places(number, batch_size, num_images, seed):
    """Places of the images of batch `number` among all: int64 [batch_size].

    Every image comes once in each pass over the data, in an order of that pass, which depends on `seed` and the number of
    the pass alone. A batch goes on in the next pass where one ends.

    Args:
        number: int64 scalar tensor.
        batch_size, num_images: int.
        seed: int of at least 0.
    """
    positions = number * batch_size + tf.range(batch_size, dtype=tf.int64)
    seeds = tf.fill([batch_size], tf.constant(seed, tf.int64))
    keys = tf.stack([seeds, positions // num_images, tf.zeros_like(positions)], axis=1)
    # tf.random.experimental.index_shuffle is this with one key; a batch may have those of two passes.
    return tf.raw_ops.RandomIndexShuffle(
        index=positions % num_images, seed=keys, max_index=tf.constant(num_images - 1, tf.int64), rounds=_ROUNDS
    )
