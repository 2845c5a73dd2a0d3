"""Labelled images, to train a plain classifier on."""

import numpy as np
import tensorflow as tf

from zoo.datasets.sampler import ENDLESS, drawn_ahead


def labelled_batches(tasks, batch_size, seed, start=0):
    """Endless batches `(float32 [B, H, W, C] from 0 to 1, int64 class index [B])`, as a tf.data.Dataset.

    Every image comes once in each pass over the data, in an order of that pass. Batch number i depends on `seed` and i alone.

    Args:
        tasks: a data set with `labelled_batches` of its own, or `ImageClasses`.
        batch_size: images of a batch.
        seed: int of at least 0.
        start: number of the first batch, to go on after an interruption.
    """
    if hasattr(tasks, "labelled_batches"):
        return tasks.labelled_batches(batch_size, seed=seed, start=start)
    rows = tf.concat([tf.constant(members, tf.int64) for members in tasks.members], axis=0)
    labels = tf.repeat(tf.range(tasks.num_classes, dtype=tf.int64), [len(members) for members in tasks.members])
    num_rows = int(tf.size(rows))

    def draw(number, pixels):
        positions = number * batch_size + tf.range(batch_size, dtype=tf.int64)
        keys = tf.stack(
            [tf.fill([batch_size], np.int64(seed)), positions // num_rows, tf.zeros_like(positions)], axis=1
        )
        # tf.random.experimental.index_shuffle is this with one key; a batch has those of two passes.
        places = tf.raw_ops.RandomIndexShuffle(index=positions % num_rows, seed=keys, max_index=num_rows - 1, rounds=4)
        images = tf.reshape(tf.gather(pixels, tf.gather(rows, places)), [batch_size, *tasks.image_shape])
        return tf.cast(images, tf.float32) / 255.0, tf.gather(labels, places)

    source = tf.data.Dataset.from_tensors(tasks._pixels).repeat()
    numbers = tf.data.Dataset.range(start, ENDLESS // batch_size)
    return drawn_ahead(tf.data.Dataset.zip(numbers, source).map(draw))
