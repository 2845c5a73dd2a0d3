"""Functions of a model as the graphs that are exported."""

import tensorflow as tf

from zoo.core import task_loop


def traced(function, *specs, **named_specs):
    """The graph of a function for these tf.TensorSpecs: it is asked for any number of tasks, on any device, so it holds the map."""
    with task_loop.task_loop("map"):
        return tf.function(function, autograph=False).get_concrete_function(*specs, **named_specs)
