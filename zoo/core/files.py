"""Files that are replaced whole, and room for them."""

import contextlib
import errno
import os
import shutil


@contextlib.contextmanager
def replaced(path, mode="wb", **options):
    """Context that yields a file to write, such that a reader of `path` sees the old one or the new one, whole.

    Args:
        path: of the file, which takes its place at the end of the context.
        mode, **options: of `open`.
    """
    scratch = f"{path}.tmp"
    with open(scratch, mode, **options) as file:
        yield file
    os.replace(scratch, path)


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
