"""Folders of images that a served model is to learn from or to classify."""

import pathlib

from zoo.datasets.image_folder import EXTENSIONS


def class_folders(folder):
    """Image files by class: {name of the class folder: its files}, sorted. Raises ValueError where there are none."""
    root = pathlib.Path(folder)
    if not root.is_dir():
        raise ValueError(f"Expected a folder. Received: {folder}")
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    return {path.name: files for path in folders if (files := image_files(path))}


def image_files(folder):
    """The PNG and JPEG files of a folder, sorted."""
    return sorted(path for path in pathlib.Path(folder).iterdir() if path.suffix.lower() in EXTENSIONS)
