"""Version folders: whole or not there, since servers poll for them."""

import contextlib
import fcntl
import os
import pathlib
import shutil
import tempfile

import tensorflow as tf

from commands.sources import check_output_folder, writable_folder
from zoo.core.graph_errors import line_of

_SCRATCH = ".writing-"  # begins the names of folders that are not whole yet
HIGHEST_VERSION = 2**63 - 1  # a server reads the name of the folder as an int64


def choose_version(output_dir, version=None):
    """The folder, in which ~ is the home folder, as a path, and the version to write: `version`, or one more than the highest there.

    Raises:
        ValueError: for a version that is there or no positive int64.
    """
    output_dir = pathlib.Path(output_dir).expanduser()
    if version is None:
        there = (
            [int(path.name) for path in output_dir.glob("*") if path.name.isascii() and path.name.isdigit()]
            if output_dir.is_dir()
            else []
        )
        version = max(there, default=0) + 1
    if not 1 <= version <= HIGHEST_VERSION or (output_dir / str(version)).exists():
        raise ValueError(
            f"`version` must be an int from 1 to {HIGHEST_VERSION} that {output_dir} does not hold yet. Received: {version}"
        )
    return output_dir, version


@contextlib.contextmanager
def new_version(output_dir, version):
    """A folder to write into, which becomes `<output_dir>/<version>` when the block ends, and vanishes when it fails.

    Raises:
        ValueError: where `output_dir` cannot be written.
        OSError: where the disk is full.
    """
    check_output_folder(output_dir, "output_dir")
    output_dir = writable_folder(output_dir, "output_dir")
    for left in output_dir.glob(f"{_SCRATCH}*"):  # by a process that was killed
        with contextlib.suppress(FileNotFoundError), _lock(left) as is_held:
            if is_held:
                shutil.rmtree(left, ignore_errors=True)
    # Not a number, which a server would load, but on the same disk, for the rename.
    scratch = pathlib.Path(tempfile.mkdtemp(dir=output_dir, prefix=_SCRATCH))
    try:
        with _lock(scratch):
            yield scratch
            scratch.chmod(0o755)
            os.rename(scratch, output_dir / str(version))
    except tf.errors.ResourceExhaustedError as error:
        raise OSError(f"{output_dir} cannot hold the export: {line_of(error)}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _lock(folder):
    """Locks a folder while its process is there; yields whether it could."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_held = True
    except OSError:  # by another process, or on a disk that locks no folders, where what is left stays
        is_held = False
    try:
        yield is_held
    finally:
        os.close(descriptor)
