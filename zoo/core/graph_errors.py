"""What TensorFlow says where a graph fails, in one line."""

import functools
import re

import tensorflow as tf

# What messages have beside what they say: where in the graph it is.
_ADDRESS = re.compile(
    r"Graph execution error:|Detected at .*|<stack traces unavailable>|\{\{.*?\}\}|  File \".*"
    r"|Error in user-defined function passed to .*? with iterator: \S+ "
)


def line_of(error):
    """The line of a tf.errors.OpError that says what is wrong."""
    text = _ADDRESS.sub("", error.message)
    return text.partition("assertion failed: ")[2].partition("\n")[0] or text.strip().partition("\n")[0]


class ErrorsInALine:
    """A keras.Model whose `fit`, `evaluate`, `predict` and their like name what is wrong with their data in one line.

    The error is of TensorFlow's class and a ValueError, as that is which the same data gives before a graph is there.
    """

    def make_train_function(self, force=False):
        if self.train_function is None or force:
            super().make_train_function(force)
            self.train_function = _in_a_line(self.train_function)

    def make_test_function(self, force=False):
        if self.test_function is None or force:
            super().make_test_function(force)
            self.test_function = _in_a_line(self.test_function)

    def make_predict_function(self, force=False):
        if self.predict_function is None or force:
            super().make_predict_function(force)
            self.predict_function = _in_a_line(self.predict_function)


def _in_a_line(function):
    @functools.wraps(function)
    def in_a_line(*args):
        try:
            return function(*args)
        except tf.errors.OutOfRangeError:  # the data has ended, which is no error to Keras
            raise
        except tf.errors.OpError as error:
            raise _also_value_error(type(error))(None, None, line_of(error)) from error

    return in_a_line


@functools.cache
def _also_value_error(cls):
    return type(cls.__name__, (cls, ValueError), {"__module__": __name__})
