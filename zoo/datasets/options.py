"""Checks of what a data set is asked for, in the words of its options."""

import numbers

HIGHEST_SEED = 2**63 - 1  # what an int64 holds


def is_int(value):
    """Whether `value` is a whole number, NumPy's included; True and False are none."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_int(name, value, lowest, highest=None):
    """`value` as an int. Raises ValueError for what is no whole number from `lowest` to `highest`."""
    if not is_int(value) or value < lowest or (highest is not None and value > highest):
        bounds = f"of at least {lowest}" if highest is None else f"from {lowest} to {highest}"
        raise ValueError(f"`{name}` must be an int {bounds}. Received: {name}={value!r}")
    return int(value)


def check_bool(name, value):
    """Raises ValueError for what is neither True nor False, such as the text "no"."""
    if not isinstance(value, bool):
        raise ValueError(f"`{name}` must be True or False. Received: {name}={value!r}")
