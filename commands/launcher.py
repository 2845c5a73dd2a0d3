"""Starts a binary: `if __name__ == "__main__": launcher.run(main)`.

TensorFlow takes seconds to import, so `main` imports it, `with launcher.imports():`, when the flags are known to be right:
`--help` and a typo are answered at once. Where TF_CPP_MIN_LOG_LEVEL is not set, a binary shows no notice but its own.
"""

import contextlib
import logging
import os
import signal
import sys
import tempfile
import warnings

from absl import app, flags
from absl import logging as absl_logging

from commands import signals
from commands.calling import in_own_words
from commands.terminal import Outlasting, open_streams, printable

_LOG_LEVEL, _QUIET = "TF_CPP_MIN_LOG_LEVEL", "3"
_MAX_ERROR = 4000  # characters; some name every preset
_HELP = {"--help": True, "-help": True, "-h": True, "-?": True, "--helpshort": True, "--helpfull": False}
_LOUD_PACKAGES = r"(absl|google|h5py|keras|numpy|tensorflow|tensorflow_datasets)(\.|$)"


def run(main, required=(), parse=None, interrupted="interrupted", terminated=None):
    """Runs `main()` under absl, and ends the process.

    A ValueError, OSError or absl UsageError of `main`, and flags that are wrong, end it with one line, `error: ...`, and
    status 1; Ctrl-C with one line and status 130; a `signals.Resumable` with one line and status 75. Help has status 0.

    Args:
        main: function without arguments, which imports what is slow to import.
        required: names of flags without a default that must be given.
        parse: function from argv to the arguments that are no flags; absl's own when None.
        interrupted: what to say at Ctrl-C.
        terminated: what to say at SIGTERM, which ends the process with status 75, and Ctrl-C too, wherever it stands. When
            None, SIGTERM is left alone and Ctrl-C raises KeyboardInterrupt in `main`, for binaries with something to clean up.
    """
    signals.end_at_once(signal.SIGINT, "interrupted")
    open_streams()
    sys.stderr = Outlasting(sys.stderr)
    if terminated:  # it works for long, and what it prints is not all that comes of it
        sys.stdout = Outlasting(sys.stdout)
    for argument in sys.argv[1:]:
        if argument in _HELP:
            binary = sys.modules["__main__"]
            binary.__doc__ = in_own_words(binary.__doc__ or "")
            app.usage(shorthelp=_HELP[argument], writeto_stdout=True, exitcode=0)
    _silence_libraries()
    warnings.showwarning = _show_in_a_line

    def parse_flags(argv):
        try:
            arguments = (parse or flags.FLAGS)(argv)
        except flags.Error as error:
            sys.exit(f"error: {printable(error)}. --help shows the flags")
        missing = [f"--{name}" for name in required if flags.FLAGS[name].value in (None, "")]
        if missing:
            sys.exit(f"error: {' and '.join(missing)} must have a value. --help shows the flags")
        return arguments

    def checked(argv):
        try:
            if len(argv) > 1:
                raise app.UsageError(f"Expected flags only. Received: {argv[1:]}")
            if terminated:
                signals.end_at_once(signal.SIGINT, interrupted)
                signals.end_at_once(signal.SIGTERM, terminated)
            else:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            main()
        except app.UsageError as error:
            sys.exit(f"error: {error} --help shows the flags")
        except (ValueError, OSError) as error:
            sys.exit(f"error: {printable(error, _MAX_ERROR)}")
        except signals.Resumable as error:
            signals.leave(str(error), signals.RESUMABLE)
        except KeyboardInterrupt as error:
            print(str(error) or interrupted, file=sys.stderr)
            sys.exit(signals.INTERRUPTED)
        finally:
            signals.end_at_once(signal.SIGINT, interrupted)  # while Python and TensorFlow are torn down

    app.run(checked, flags_parser=parse_flags)


@contextlib.contextmanager
def imports():
    """Context for the imports of TensorFlow and what needs it: without their notices, and ended at once by Ctrl-C.

    TensorFlow writes to the descriptor of stderr while it is loaded, whatever the log level. What it wrote is shown where an
    import fails.
    """
    with signals.ends_at_once(signal.SIGINT, "interrupted"):
        with contextlib.nullcontext() if _is_loud() else _held_stderr():
            yield


@contextlib.contextmanager
def _held_stderr():
    sys.stderr.flush()
    with tempfile.TemporaryFile() as notices, os.fdopen(os.dup(2), "w") as terminal:
        python_stderr, sys.__stderr__ = sys.__stderr__, terminal
        os.dup2(notices.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(terminal.fileno(), 2)
            notices.seek(0)
            os.write(2, notices.read())
            raise
        finally:
            os.dup2(terminal.fileno(), 2)
            sys.__stderr__ = python_stderr


def _show_in_a_line(message, category, filename, lineno, file=None, line=None):
    """What a user's data or machine gives to say, without the line of code that says it."""
    print(f"warning: {printable(message)}", file=file or sys.stderr, flush=True)


def _is_loud():
    """Whether the user has asked to see the notices of libraries."""
    return os.environ.setdefault(_LOG_LEVEL, _QUIET) != _QUIET


def _silence_libraries():
    """Keeps notices of TensorFlow, Keras and absl from burying what a binary prints; what they cannot do they raise."""
    if not _is_loud():
        absl_logging.set_verbosity(absl_logging.ERROR)
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module=_LOUD_PACKAGES)
