"""Values that a function sees in a context, whatever calls stand between."""

import contextlib


@contextlib.contextmanager
def set_to(variable, value):
    """Context in which a contextvars.ContextVar has that value."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
