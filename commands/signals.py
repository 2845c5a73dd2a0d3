"""Ctrl-C and SIGTERM, which end a binary with one line and a status of its own.

Python raises Ctrl-C wherever the process stands: out of the middle of an import it comes back as any error of the half-made
module, and TensorFlow may die of it. So a binary ends where it stands; what it writes it replaces whole. While training steps
run, SIGTERM is noted, and the loop saves them before it leaves.
"""

import contextlib
import os
import signal
import sys

INTERRUPTED = 130  # exit status of a process that Ctrl-C ended, as shells have it
RESUMABLE = 75  # exit status of a run that the same command continues: EX_TEMPFAIL of sysexits.h
_STATUSES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: RESUMABLE}


class Resumable(Exception):
    """A run was stopped in order, and the same command continues it; the text says where from."""


@contextlib.contextmanager
def ends_at_once(number, text):
    """Context in which a signal ends the process where it stands, with `text` and the status of the signal."""
    before = end_at_once(number, text)
    try:
        yield
    finally:
        signal.signal(number, before)


def end_at_once(number, text):
    """As `ends_at_once`, from now on; returns the handler before."""

    return signal.signal(number, _ending(number, text))


def _ending(number, text):
    """The handler that does so."""

    def end(*_):
        leave(text, _STATUSES[number])

    end.is_ours = True
    return end


def leave(text, status):
    """Ends the process with a line and nothing else: neither Python nor TensorFlow is torn down."""
    with contextlib.suppress(Exception):  # it may stand in the middle of a print
        sys.stdout.flush()
    with contextlib.suppress(Exception):  # who read it, `tee` say, may be gone
        stderr = sys.__stderr__
        start = os.linesep if stderr.isatty() else ""  # after a bar, or ^C
        os.write(stderr.fileno(), f"{start}{text}{os.linesep}".encode())
    os._exit(status)


@contextlib.contextmanager
def termination_noted():
    """Context in which SIGTERM does nothing; yields a function that tells whether it came.

    In a process whose SIGTERM is not this module's it stays as it is.
    """
    came = []

    def note(*_):
        came.append(True)

    note.is_ours = True
    with _terminating(note):
        yield lambda: bool(came)


@contextlib.contextmanager
def termination_ends(text):
    """Context in which SIGTERM ends the process where it stands, with `text`; where it is this module's, as above."""
    with _terminating(_ending(signal.SIGTERM, text)):
        yield


@contextlib.contextmanager
def _terminating(handler):
    before = signal.getsignal(signal.SIGTERM)
    if not getattr(before, "is_ours", False):
        yield
        return
    signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def keep_handlers():
    """Puts the handlers of Python back in their place, where a library has put its own below them: TensorFlow does."""
    for number in _STATUSES:
        handler = signal.getsignal(number)
        if getattr(handler, "is_ours", False):
            signal.signal(number, handler)
