"""Files that are replaced whole, and room for them."""

import contextlib
import errno
import os
import pathlib
import shutil
import tempfile

SCRATCH = ".scratch-"  # begins the names of folders that a killed process may leave behind


@contextlib.contextmanager
def replaced(path, mode="wb", **options):
    """Context that yields a file to write, such that a reader of `path` sees the old one or the new one, whole.

    Args:
        path: of the file, which takes its place at the end of the context.
        mode, **options: of `open`.
    """
    scratch = f"{path}.tmp"
    try:
        with open(scratch, mode, **options) as file:
            yield file
        os.replace(scratch, path)
    except BaseException as error:
        pathlib.Path(scratch).unlink(missing_ok=True)  # on a full disk it would keep the room that another needs
        _name_file(error, path)
        raise


@contextlib.contextmanager
def replaced_path(path):
    """`replaced` for libraries that open files themselves: yields a path of the same name to write to, in a folder of its own.

    Processes that write the same file at once do not meet; of what an error leaves unfinished nothing stays.
    """
    path = pathlib.Path(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=SCRATCH) as folder:
        scratch = pathlib.Path(folder, path.name)
        try:
            yield scratch
        except OSError as error:
            _name_file(error, path)
            raise
        os.replace(scratch, path)


def _name_file(error, path):
    """Puts the file into the text of an OSError that has none: Python names it where it is opened, and not where it is written."""
    if isinstance(error, OSError) and error.errno and error.filename is None:
        error.filename = str(path)


def save_picture(figure, path):
    """Writes a matplotlib figure, as `replaced_path` does; one without an ending gets .png, as matplotlib has it."""
    path = pathlib.Path(path)
    with replaced_path(path if path.suffix else path.with_name(f"{path.name}.png")) as scratch:
        figure.savefig(scratch, dpi=120)


def write_text(path, text):
    """Writes a text file, in UTF-8, as `replaced` does."""
    with replaced(path, "w", encoding="utf-8") as file:
        file.write(text)


def check_room(folder, num_bytes):
    """Raises OSError where the disk of a folder has no room for that many bytes.

    For before a library writes that cannot be stopped halfway: HDF5 ends the process with a segmentation fault.
    """
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        message = f"{os.strerror(errno.ENOSPC)}: {num_bytes:,} bytes are needed and {free:,} free"
        raise OSError(errno.ENOSPC, message, str(folder))
