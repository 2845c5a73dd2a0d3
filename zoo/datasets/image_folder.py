"""Any folder that holds one folder of images per class."""

import math
import pathlib

import numpy as np

from zoo.datasets.image_files import EXTENSIONS, image_files, read_image
from zoo.datasets.sampler import ImageClasses
from zoo.datasets.subsets import parts_of

MIN_IMAGES = 2  # one for the support and one to ask about

_FOLDERS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}


def load(
    subset="train",
    root=None,
    image_size=28,
    channels=1,
    invert=False,
    split=(0.6, 0.2, 0.2),
    split_seed=0,
    distortions=False,
):
    """The classes of a folder, each a folder of PNG, JPEG, GIF, BMP or WEBP images, at least two of them.

    Two layouts are known. Where `root` has a folder "train", its folders "train", "validation" (or "val") and "test"
    hold the class folders of the subsets. Else `root` holds the class folders themselves, and `split` deals the classes
    out, drawn by `split_seed`; each subset gets at least one. No class is in two subsets. Hidden files and folders,
    files with other extensions, and folders inside of class folders are skipped. Everything is in sorted order, so the
    same folder gives the same classes everywhere.

    Each image is turned as its EXIF data says, converted to grey or RGB, and resized to a square with anti-aliasing
    (Lanczos); its aspect ratio is not kept. Transparent parts become paper. See `zoo.datasets.image_files.read_image`.

    Args:
        subset: "train", "validation", "trainval" (both) or "test".
        root: path of the folder.
        image_size: side in pixels.
        channels: 1 (grey) or 3 (RGB).
        invert: whether the images are dark ink on light paper, to turn into ink 1 and paper 0; False for photographs.
        split: fractions of the classes for train, validation and test, positive and of sum 1. Unused where `root` has a
            folder "train".
        split_seed: int.
        distortions: whether episodes show each image under a random affine transform, see `zoo.datasets.distortion`;
            meant for ink on paper, since what comes from outside of an image is 0.

    Returns:
        ImageClasses named after their folders, images uint8 [N, image_size, image_size, channels].

    Raises:
        ValueError: for an unknown subset or an option out of range; for a folder without class folders or without the
            subset asked for, or with too few classes to split; for a class in two subsets; for a class without images
            or with fewer than two; for an image that cannot be read.
        FileNotFoundError: where `root` is no folder.

    Example:
        >>> classes = load("test", root="my_drawings", invert=True)
        >>> episodes = classes.episodes(way=5, shot=1, query=5)
    """
    wanted = parts_of(subset)
    if channels not in (1, 3):
        raise ValueError(f"`channels` must be 1 or 3. Received: channels={channels!r}")
    if image_size < 1:
        raise ValueError(f"`image_size` must be at least 1 pixel. Received: image_size={image_size}")
    if root is None:
        raise ValueError("`root` must be a folder with one folder of images per class. Received: root=None")
    root = pathlib.Path(root)
    if not root.is_dir():
        raise FileNotFoundError(
            f"`root` must be a folder with one folder of images per class. Received: root={str(root)!r}"
        )
    if (root / "train").is_dir():
        parts = _own_subsets(root)
        for part in wanted:
            if part not in parts:
                raise ValueError(f"{root} has a folder 'train' but none for subset={part!r}: expected {_FOLDERS[part]}")
    else:
        parts = _split(root, _class_folders(root), split, split_seed)
    folders = sorted((folder for part in wanted for folder in parts[part]), key=lambda folder: folder.name)
    files = [_image_files(folder) for folder in folders]
    images = np.stack(
        [read_image(file, image_size, image_size, channels, invert) for of_class in files for file in of_class]
    )
    labels = np.repeat(np.arange(len(files)), [len(of_class) for of_class in files])
    classes = ImageClasses.from_labels(images, labels, [folder.name for folder in folders])
    return classes.with_distortions() if distortions else classes


def _own_subsets(root):
    """Class folders by subset, of the subsets that are there."""
    parts, subset_of = {}, {}
    for part, names in _FOLDERS.items():
        present = [root / name for name in names if (root / name).is_dir()]
        if len(present) > 1:
            received = [path.name for path in present]
            raise ValueError(f"{root} must have one folder for subset={part!r}. Received: {received}")
        if present:
            parts[part] = _class_folders(present[0])
        for folder in parts.get(part, ()):
            if folder.name in subset_of:
                raise ValueError(
                    f"No class may be in two subsets of {root}. "
                    f"Received: class {folder.name!r} in {subset_of[folder.name]!r} and {part!r}"
                )
            subset_of[folder.name] = part
    return parts


def _split(root, folders, split, split_seed):
    """Class folders by subset, dealt out by `split`."""
    if len(split) != 3 or min(split) <= 0 or not math.isclose(sum(split), 1, abs_tol=1e-6):
        raise ValueError(f"`split` must be three positive fractions of sum 1. Received: split={split}")
    count = len(folders)
    if count < 3:
        raise ValueError(
            f"{root} must have at least 3 class folders, one for each of train, validation and test. Received: "
            f"{count} ({', '.join(folder.name for folder in folders)})"
        )
    num_train = min(max(round(split[0] * count), 1), count - 2)
    num_validation = min(max(round(split[1] * count), 1), count - num_train - 1)
    order = np.random.default_rng(split_seed).permutation(count)
    train, validation, test = np.split(order, [num_train, num_train + num_validation])
    parts = {"train": train, "validation": validation, "test": test}
    return {part: [folders[i] for i in chosen] for part, chosen in parts.items()}


def subfolders(folder):
    """The folders in a folder, hidden ones left out, sorted."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _class_folders(folder):
    folders = subfolders(folder)
    if not folders:
        raise ValueError(f"{folder} must have one folder of images per class. Received: no folder in it")
    return folders


def _image_files(folder):
    files = image_files(folder)
    if not files:
        raise ValueError(f"Class {folder.name!r} has no images: expected files {', '.join(EXTENSIONS)} in {folder}")
    if len(files) < MIN_IMAGES:
        raise ValueError(
            f"Each class must have at least {MIN_IMAGES} images. "
            f"Received: class {folder.name!r} with {len(files)} in {folder}"
        )
    return files
