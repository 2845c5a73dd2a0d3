"""Labels as strings: the classes of a task are named by random strings of five characters out of five letters."""

import tensorflow as tf

NUM_CHARACTERS, NUM_LETTERS = 5, 5


def string_codes(num_tasks, way, dtype, step=None):
    """A string for each class of each task, no string twice in a task: float [T, way, 25], five ones in each.

    Args:
        num_tasks: T.
        way: classes per task.
        dtype: of the codes.
        step: int32 number of the training step, from which tasks get strings of their own, so that a resumed run draws the
            same; None: the same strings for all tasks, always.
    """
    num_strings = NUM_LETTERS**NUM_CHARACTERS
    if step is None:
        keys = tf.random.stateless_uniform([1, num_strings], [0, 0])
    else:
        replica = tf.distribute.get_replica_context()
        total = num_tasks * replica.num_replicas_in_sync
        keys = tf.random.stateless_uniform([total, num_strings], tf.stack([1, step]))
        keys = keys[num_tasks * replica.replica_id_in_sync_group :][:num_tasks]
    strings = tf.math.top_k(keys, way).indices  # [T or 1, way]
    places = NUM_LETTERS ** tf.range(NUM_CHARACTERS)
    letters = tf.one_hot(strings[..., None] // places % NUM_LETTERS, NUM_LETTERS, dtype=dtype)
    codes = tf.reshape(letters, [-1, way, NUM_CHARACTERS * NUM_LETTERS])
    return tf.repeat(codes, num_tasks, axis=0) if step is None else codes
