"""Files that are replaced whole, and room for them."""

import errno
import os
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
