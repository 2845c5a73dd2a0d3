"""Lines about data: short, and each said once."""

import warnings

_SAID = set()


def listed(names, most=3):
    """Names for a message: at most a few, and how many more there are."""
    names = [str(name) for name in names]
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def counted(number, noun, plural=None):
    """`1 file`, `2,000 files`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def warn_once(text):
    """A UserWarning, once per process: Python's own memory of what it said is lost whenever any code changes its filters."""
    if text not in _SAID:
        _SAID.add(text)
        warnings.warn(text, stacklevel=3)
