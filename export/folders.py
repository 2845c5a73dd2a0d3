"""Folders of images that a served model is to learn from or to classify."""

import pathlib

from zoo.datasets.image_files import image_files, subfolders


def class_folders(folder):
    """Image files by class: {name of the class folder: its files}, sorted. Raises ValueError where there are none."""
    root = pathlib.Path(folder)
    if not root.is_dir():
        raise ValueError(f"Expected a folder. Received: {folder}")
    return {path.name: files for path in subfolders(root) if (files := image_files(path))}
