"""Statistics of a batch that is spread over the replicas of tf.distribute."""

import contextvars

import tensorflow as tf

from zoo.core.contexts import set_to

_OVER_REPLICAS = contextvars.ContextVar("over_replicas", default=False)


def over_replicas(wanted=True):
    """Context in which BatchNorm, where it normalizes by its batch, takes that of all replicas of tf.distribute together.

    Every replica must call the same layers in the same order, and none of them in a loop: they wait for each other in each.
    """
    return set_to(_OVER_REPLICAS, wanted)


def is_shared():
    """Whether there are other replicas to take statistics over."""
    context = tf.distribute.get_replica_context()
    return _OVER_REPLICAS.get() and context is not None and context.num_replicas_in_sync > 1


def combined(mean, variance, count):
    """The (mean [C], variance [C], number of values per channel) of all replicas, out of those of each.

    They can be differentiated. In `over_replicas`; elsewhere they stay as they are.
    """
    if not is_shared():
        return mean, variance, count
    context = tf.distribute.get_replica_context()
    total, sums = context.all_reduce("sum", [count, count * mean])
    centre = sums / total
    # Squares of deviations from the common mean, and not E[x^2] - E[x]^2, which loses digits.
    squares = context.all_reduce("sum", count * (variance + tf.square(mean - centre)))
    return centre, squares / total, total
