"""The loop of inner steps on one task, as a graph that does not grow with their number."""

import tensorflow as tf

from zoo.core import task_loop


def repeat(num_steps, step, state):
    """What is left of `state` after so many steps: `state = step(number, *state)`.

    In a graph a step is the call of a function of its own. TensorFlow would build it into the loop otherwise, and where a graph
    goes in a circle oneDNN misses the max-pool in front of a gradient: that runs by a kernel several times as slow.

    Args:
        num_steps: int, or int32 scalar.
        step: function of the step's number from 0, an int32 scalar, and of the state, to the next state.
        state: tuple of structures of tensors, which keep their shapes and dtypes.

    Returns:
        The last state, a tuple.
    """

    def numbered(number, *state):
        return number + 1, *step(number, *state)

    if tf.inside_function() and not task_loop.at_once():
        numbered = tf.function(numbered, autograph=False, experimental_attributes={"_noinline": True})
    return tf.while_loop(lambda number, *_: number < num_steps, numbered, (0, *state))[1:]
