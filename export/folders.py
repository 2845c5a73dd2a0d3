"""Folders of images that a served model is to learn from or to classify."""

import pathlib
import warnings

from zoo.datasets.image_files import EXTENSIONS, example_folders, files_below, image_files, subfolders
from zoo.datasets.messages import kinds_of, listed


def class_folders(folder):
    """Image files by class: {name of the class folder: the images in it and in its folders}, sorted.

    Raises:
        ValueError: where there are not two class folders at least, or one holds no image.

    Warns:
        UserWarning: of images beside the class folders, and of files in them that are no images.
    """
    root = _existing(folder, pathlib.Path.is_dir, "a folder with one folder of images per class")
    classes, others = {}, []
    for path in example_folders(root):
        classes[path.name], foreign = files_below(path)
        if not classes[path.name]:
            received = f"only {kinds_of(foreign)}" if foreign else "no files"
            raise ValueError(
                f"Class {path.name!r} has no images: expected files {', '.join(EXTENSIONS)} in {path}. "
                f"Received: {received}"
            )
        others += foreign
    if len(classes) < 2:
        raise ValueError(f"{root} must have at least 2 folders of images, one per class. Received: {list(classes)}")
    if others:
        warnings.warn(f"{root}: files that are no images are left out: {kinds_of(others)}", stacklevel=2)
    if loose := image_files(root):
        warnings.warn(
            f"{root}: images in no class folder are left out: {listed(path.name for path in loose)}", stacklevel=2
        )
    return classes


def query_files(path):
    """(file, name of its folder) of the images to classify: one file, or those of a folder, and of the folders in it.

    The name is None for the file, and for images beside the folders.

    Raises:
        ValueError: where there is no image.
    """
    root = _existing(path, pathlib.Path.exists, "an image file, a folder of images, or one folder of them per class")
    if not root.is_dir():
        return [(root, None)]
    found = [(file, None) for file in image_files(root)]
    found += [(file, folder.name) for folder in subfolders(root) for file in files_below(folder)[0]]
    if not found:
        raise ValueError(f"{root} has no images: expected files {', '.join(EXTENSIONS)}, in it or in its folders")
    return found


def _existing(path, exists, expected):
    root = pathlib.Path(path).expanduser()
    if not exists(root):
        raise ValueError(f"Expected {expected}. Received: {path}")
    return root
