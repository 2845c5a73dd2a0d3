"""New random numbers, of Dropout and its like, for every task and inner step."""

import contextvars

import tensorflow as tf

from zoo.core.contexts import set_to

# Where a functional call stands, as integers: its task, then its inner step.
_PLACE = contextvars.ContextVar("place", default=())


def drawn_at(number):
    """Context whose functional calls draw numbers of their own, other ones than at another `number`, an int or scalar."""
    return set_to(_PLACE, (*_PLACE.get(), number))


class SeedStates:
    """The seed states of a network's random layers, for `stateless_call`.

    That call returns the next states and leaves the variables as they are, so that the same mask would be drawn for ever.
    Here a state follows from the variable, which `advance` changes once a training step, and from the place of the call: any
    order of the tasks gives the same numbers.
    """

    def __init__(self, network):
        generators = [generator for layer in network._flatten_layers() for generator in layer._seed_generators]
        self._states = {id(generator.state): generator.state for generator in generators}

    @property
    def variables(self):
        return list(self._states.values())

    def values(self, variables):
        """The values of a network's variables that are not trainable, seed states as of the present place."""
        return [_at_place(v) if id(v) in self._states else v for v in variables]

    def advance(self):
        """To the next training step."""
        for state in self._states.values():
            state.assign(state + tf.constant([0, 1], state.dtype))


def _at_place(state):
    seed = tf.cast(tf.convert_to_tensor(state), tf.int64)
    for number in _PLACE.get():
        seed = tf.random.experimental.stateless_fold_in(seed, tf.cast(number, tf.int64))
    # Once more: a layer that is called again counts the second number up, which must not lead to the next place.
    return tf.cast(tf.random.experimental.stateless_fold_in(seed, tf.constant(0, tf.int64)), state.dtype)
