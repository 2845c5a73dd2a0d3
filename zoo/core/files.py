"""Files that are replaced whole, and folders that can be written."""

import os
import pathlib


def write_text(path, text):
    """Writes a text file so that a reader sees the old one or the new one, whole."""
    scratch = f"{path}.tmp"
    with open(scratch, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(scratch, path)


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
