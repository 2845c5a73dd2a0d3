"""Files that are replaced whole, and folders that can be written."""

import errno
import os
import pathlib
import shutil


def write_text(path, text):
    """Writes a text file so that a reader sees the old one or the new one, whole."""
    scratch = f"{path}.tmp"
    with open(scratch, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(scratch, path)


def check_room(folder, num_bytes):
    """Raises OSError where the disk of a folder has no room for that many bytes.

    For before a library writes that cannot be stopped halfway: HDF5 ends the process with a segmentation fault.
    """
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        message = f"{os.strerror(errno.ENOSPC)}: {num_bytes:,} bytes are needed and {free:,} free"
        raise OSError(errno.ENOSPC, message, str(folder))


def writable_folder(path, flag):
    """The folder, made where missing.

    Raises:
        ValueError: where it cannot be written; names `flag`, `--workdir`.
    """
    folder = pathlib.Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / ".writable", "")
        os.unlink(folder / ".writable")
    except OSError as error:
        raise ValueError(
            f"`{flag}` must be a folder that can be written. Received: {path}: {error.strerror}"
        ) from error
    return folder
