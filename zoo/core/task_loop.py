"""How the tasks of a batch are taken by methods that adapt by gradients: one after the other, or all at once."""

import contextvars

import tensorflow as tf

from zoo.core import arguments
from zoo.core.contexts import set_to

LOOPS = ("auto", "map", "batched")

_of_process = {"loop": "auto"}
_OF_CONTEXT = contextvars.ContextVar("loop", default=None)
_AT_ONCE = contextvars.ContextVar("at_once", default=False)


def set_task_loop(name):
    """Chooses the loop over tasks for the whole process: for graphs that are traced from now on.

    Args:
        name: "map": one task after the other, which keeps a CPU busiest. "batched": all tasks at once, in operations with a
            leading task axis, of which an accelerator needs far fewer. "auto", the default: batched where TensorFlow has a GPU
            or TPU and can batch the network, else the map. Both give the same numbers, within rounding.

    Raises:
        ValueError: for another name.

    Example:

    >>> from zoo.core import task_loop
    >>> task_loop.set_task_loop("batched")
    """
    _of_process["loop"] = arguments.choice("task_loop", name, LOOPS)


def task_loop(name):
    """Context in which graphs are traced with that loop, see `set_task_loop`, whatever the process has chosen."""
    return set_to(_OF_CONTEXT, arguments.choice("task_loop", name, LOOPS))


def chosen():
    """The loop that was asked for: "auto", "map" or "batched"."""
    return _OF_CONTEXT.get() or _of_process["loop"]


def is_batched():
    """Whether tasks are to be taken all at once: by choice or, under "auto", by device."""
    if chosen() != "auto":
        return chosen() == "batched"
    return any(tf.config.list_logical_devices(kind) for kind in ("GPU", "TPU"))


def tasks_at_once():
    """Context of a function that is written for one task and is run for all of them at once, see `at_once`."""
    return set_to(_AT_ONCE, True)


def at_once():
    """Whether the present function of one task is run for all of them at once.

    Then every weight may have a leading task axis that the function does not see, and its shapes must be those of every task:
    no convolution by a kernel that all images share, no fused op of a batch, no rows taken out.
    """
    return _AT_ONCE.get()
