"""Lines about data: short, and each said once."""

import collections
import warnings

_SAID = set()


def listed(names, most=3):
    """Names for a message: at most a few, and how many more there are."""
    names = [str(name) for name in names]
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def kinds_of(paths):
    """How many files there are of each extension, the most first: `30 .tif, 1 .txt`."""
    kinds = collections.Counter(path.suffix.lower() or "without extension" for path in paths)
    return listed(f"{count} {kind}" for kind, count in sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0])))


def counted(number, noun, plural=None):
    """`1 file`, `2,000 files`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def warn_once(text):
    """A UserWarning, once per process: Python's own memory of what it said is lost whenever any code changes its filters."""
    if text not in _SAID:
        _SAID.add(text)
        warnings.warn(text, stacklevel=3)
