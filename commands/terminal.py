"""Texts of unknown origin on a terminal, and terminals that are not there."""

import contextlib
import os
import sys

_MAX_TEXT = 1000


def printable(text, limit=_MAX_TEXT):
    """A text for one line: what a terminal would obey, or hide, as escapes; cut where it is long."""
    text = str(text)
    shown = text[:limit] + (f"... ({len(text)} characters)" if len(text) > limit else "")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


class Outlasting:
    """A stream of text whose reader, `tee` say, may end before this process: what it does not read is lost, and is no error."""

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        with contextlib.suppress(BrokenPipeError):
            self._stream.write(text)
        return len(text)

    def flush(self):
        with contextlib.suppress(BrokenPipeError):
            self._stream.flush()


def open_streams():
    """Opens the standard streams that this process was started without (`2>&-`), to nowhere.

    The next files that are opened would have their numbers: TensorFlow's notices would be written into one of them.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = open(os.devnull, mode, encoding="utf-8")  # by the lowest number that is free
            setattr(sys, name, nowhere)
            setattr(sys, f"__{name}__", nowhere)
