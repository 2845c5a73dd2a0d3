"""Any folder that holds one folder of images per class."""

import collections
import math
import os
import pathlib

import numpy as np

from zoo.datasets.image_files import EXTENSIONS, files_below, image_files, read_image, subfolders
from zoo.datasets.messages import counted, listed, warn_once
from zoo.datasets.options import check_bool, check_int
from zoo.datasets.sampler import ImageClasses
from zoo.datasets.subsets import parts_of

MIN_IMAGES = 2  # one for the support and one to ask about
ON_ERROR = ("raise", "skip")

# What the folder of a subset may be called, in any case.
_FOLDERS = {"train": ("train", "training"), "validation": ("validation", "val", "valid"), "test": ("test", "testing")}


def load(
    subset="train",
    root=None,
    image_size=28,
    channels=1,
    invert=False,
    split=(0.6, 0.2, 0.2),
    split_seed=0,
    distortions=False,
    on_error="raise",
):
    """The classes of a folder, each a folder of PNG, JPEG, GIF, BMP or WEBP images, at least two of them.

    Two layouts are known. Where `root` has folders of subsets, called "train", "validation" and "test" (or "training",
    "val", "valid", "testing", in any case), these hold the class folders. Else `root` holds the class folders themselves,
    and `split` deals the classes out, drawn by `split_seed`; each subset gets at least one. No class is in two subsets. A
    class is also called "train" where a folder of that name holds images and stands beside others.

    A class has the images of its folder and of all folders in it, links followed. Hidden files and folders are skipped;
    other files that are not read, and images in no class folder, are counted in a warning of one line. Everything is in
    sorted order, so the same folder gives the same classes everywhere. A class more or less deals the others out anew:
    training keeps the names of its classes, and refuses to go on with others.

    Each image is turned as its EXIF data says, converted to grey or RGB, and resized to a square with anti-aliasing
    (Lanczos); its aspect ratio is not kept. Transparent parts become paper. See `zoo.datasets.image_files.read_image`.

    Args:
        subset: "train", "validation", "trainval" (both) or "test".
        root: path of the folder.
        image_size: side in pixels.
        channels: 1 (grey) or 3 (RGB).
        invert: whether the images are dark ink on light paper, to turn into ink 1 and paper 0; False for photographs.
        split: fractions of the classes for train, validation and test, positive and of sum 1. Unused where `root` has
            folders of subsets.
        split_seed: int of at least 0.
        distortions: whether episodes show each image under a random affine transform, see `zoo.datasets.distortion`;
            meant for ink on paper, since what comes from outside of an image is 0.
        on_error: "raise" names the first file that cannot be read and counts the others; "skip" leaves them out, with a
            warning that names a few.

    Returns:
        ImageClasses named after their folders, images uint8 [N, image_size, image_size, channels].

    Raises:
        ValueError: for an unknown subset or an option out of range; for a folder without class folders or without the
            subset asked for, or with too few classes to split; for a class in two subsets; for a class without images
            or with fewer than two; for an image that cannot be read.
        FileNotFoundError: where `root` is no folder.

    Warns:
        UserWarning: of what is left out.

    Example:
        >>> classes = load("test", root="my_drawings", invert=True)
        >>> episodes = classes.episodes(way=5, shot=1, query=5)
    """
    wanted = parts_of(subset)
    if channels not in (1, 3):
        raise ValueError(f"`channels` must be 1 or 3. Received: channels={channels!r}")
    check_int("image_size", image_size, 1)
    check_int("split_seed", split_seed, 0)
    check_bool("invert", invert)
    check_bool("distortions", distortions)
    if on_error not in ON_ERROR:
        raise ValueError(f"`on_error` must be one of {ON_ERROR}. Received: on_error={on_error!r}")
    if not isinstance(root, (str, os.PathLike)):
        raise ValueError(f"`root` must be a folder with one folder of images per class. Received: root={root!r}")
    root = pathlib.Path(root).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(
            f"`root` must be a folder with one folder of images per class. Received: root={str(root)!r}"
        )
    classes = _class_files(root, wanted, split, split_seed)
    pixels = _read(
        [file for files in classes.values() for file in files],
        root,
        lambda file: read_image(file, image_size, image_size, channels, invert),
        on_error,
    )
    readable = [[file for file in files if file in pixels] for files in classes.values()]
    for name, files in zip(classes, readable):
        _check_images(name, files, root)
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in readable])
    images = np.stack([pixels[file] for files in readable for file in files])
    classes = ImageClasses.from_labels(images, labels, list(classes))
    return classes.with_distortions() if distortions else classes


def _class_files(root, wanted, split, split_seed):
    """The image files of each class of the wanted subsets, by the sorted names of the classes."""
    of_subsets = _subset_folders(root)
    if of_subsets:
        parts = _own_subsets(root, of_subsets)
        for part in wanted:
            if part not in parts:
                present = listed(path.name for paths in of_subsets.values() for path in paths)
                raise ValueError(
                    f"{root} must have a folder for subset={part!r}, called {' or '.join(_FOLDERS[part])}. "
                    f"Received: the folders of subsets {present}"
                )
    else:
        parts = _split(root, _class_folders(root), split, split_seed)
    files = _scan(root, parts)
    chosen = sorted((folder for part in wanted for folder in parts[part]), key=lambda folder: folder.name)
    for folder in chosen:
        _check_images(folder.name, files[folder], folder)
    return {folder.name: files[folder] for folder in chosen}


def _subset_folders(root):
    """Folders of `root` by the subset that they are called after; none where they are classes, or there are none."""
    folders = subfolders(root)
    named = {
        part: [path for name in names for path in folders if path.name.lower() == name]
        for part, names in _FOLDERS.items()
    }
    chosen = [path for paths in named.values() for path in paths]
    others = [path.name for path in folders if path not in chosen]
    with_classes = [path.name for path in chosen if subfolders(path) and not image_files(path)]
    if not with_classes and (others or not named["train"]):
        return {}  # classes that are called so, such as "train" beside "bus"
    if others and (len(with_classes) < len(chosen) or not named["train"]):
        raise ValueError(
            f"{root} must hold class folders, or the folders of subsets with 'train' among them. Received: "
            f"{listed(with_classes)} with folders inside, beside {listed([*others, *_without(chosen, with_classes)])}"
        )
    if others:
        warn_once(
            f"{root} has the folders of subsets, {listed(with_classes)}: its other folders are left out: {listed(others)}"
        )
    return {part: paths for part, paths in named.items() if paths}


def _without(paths, names):
    return [path.name for path in paths if path.name not in names]


def _own_subsets(root, folders):
    """Class folders by subset, of the subsets that are there."""
    parts, subset_of = {}, {}
    for part, present in folders.items():
        if len(present) > 1:
            received = [path.name for path in present]
            raise ValueError(f"{root} must have one folder for subset={part!r}. Received: {received}")
        parts[part] = _class_folders(present[0])
        for folder in parts[part]:
            if folder.name in subset_of:
                raise ValueError(
                    f"No class may be in two subsets of {root}. "
                    f"Received: class {folder.name!r} in {subset_of[folder.name]!r} and {part!r}"
                )
            subset_of[folder.name] = part
    return parts


def _split(root, folders, split, split_seed):
    """Class folders by subset, dealt out by `split`."""
    fractions = split if isinstance(split, (list, tuple)) else ()
    is_split = len(fractions) == 3 and all(isinstance(part, (int, float)) and part > 0 for part in fractions)
    if not is_split or not math.isclose(sum(fractions), 1, abs_tol=1e-6):
        raise ValueError(f"`split` must be three positive fractions of sum 1. Received: split={split!r}")
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


def _class_folders(folder):
    folders = subfolders(folder)
    if not folders:
        raise ValueError(f"{folder} must have one folder of images per class. Received: no folder in it")
    return folders


def _scan(root, parts):
    """Image files by class folder, all subsets; warns of what lies about and is not read."""
    images, others = {}, []
    for folder in (folder for folders in parts.values() for folder in folders):
        images[folder], foreign = files_below(folder)
        others += foreign
    parents = {root, *(folder.parent for folder in images)}
    loose = [path for parent in sorted(parents) for path in image_files(parent)]
    if others:
        kinds = collections.Counter(path.suffix.lower() or "without extension" for path in others)
        counts = listed(
            f"{count} {kind}" for kind, count in sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))
        )
        warn_once(
            f"{root}: {counted(len(others), 'file')} in class folders left out, for being none of {', '.join(EXTENSIONS)}: "
            f"{counts}"
        )
    if loose:
        warn_once(
            f"{root}: {counted(len(loose), 'image')} in no class folder left out: {listed(path.name for path in loose)}"
        )
    return images


def _check_images(name, files, place):
    if not files:
        raise ValueError(f"Class {name!r} has no images: expected files {', '.join(EXTENSIONS)} in {place}")
    if len(files) < MIN_IMAGES:
        raise ValueError(
            f"Each class must have at least {MIN_IMAGES} images. Received: class {name!r} with {len(files)} in {place}"
        )


def _read(files, root, read, on_error):
    """Pixels of files by their path; broken ones are named, all together, and left out with on_error="skip"."""
    pixels, broken = {}, {}
    for file in files:
        try:
            pixels[file] = read(file)
        except ValueError as error:
            broken[os.path.relpath(file, root)] = error
    if broken and on_error == "raise":
        first, *others = broken.values()
        rest = f" (and {counted(len(others), 'file')} more; `on_error` 'skip' leaves them out)" if others else ""
        raise ValueError(f"{first}{rest}") from first
    if broken:
        warn_once(f"{root}: {counted(len(broken), 'file')} that cannot be read left out: {listed(broken)}")
    return pixels
