"""Any folder that holds one folder of images per class."""

import os
import pathlib

import numpy as np

from zoo.datasets.image_files import EXTENSIONS, check_fit, files_below, image_files, read_image, repeated, subfolders
from zoo.datasets.image_split import BY, FEWEST, deal_classes, deal_images, fewest_of_train, large_enough, with_missing
from zoo.datasets.image_store import ImageStore, in_parallel
from zoo.datasets.image_table import read_table
from zoo.datasets.messages import counted, kinds_of, listed, warn_once
from zoo.datasets.options import check_bool, check_int
from zoo.datasets.sampler import ImageClasses
from zoo.datasets.subsets import CALLED, parts_of, subset_called

ON_ERROR = ("raise", "skip")


def load(
    subset="train",
    root=None,
    image_size=28,
    channels=1,
    invert=False,
    split=(0.5, 0.25, 0.25),
    split_seed=0,
    distortions=False,
    on_error="raise",
    split_by="classes",
    fit="stretch",
    augmentation=None,
):
    """The classes of a folder, each a folder of PNG, JPEG, GIF, BMP or WEBP images; or those of a CSV file.

    Two layouts are known. Where `root` has folders of subsets, called "train", "validation" and "test" (or "training",
    "val", "valid", "testing", in any case), these hold the class folders; of a subset without a folder, `split` gives it a part of
    the training classes (at least two, in a line), by the ratio of the fractions. Else `root` holds the class folders themselves,
    and `split` deals the classes out, drawn by `split_seed`; each subset gets at least two, or one of fewer than six. No class is in two subsets. A
    class is also called "train" where a folder of that name holds images and stands beside others.

    With `split_by` "images" every class is in each subset, with other images of it: `split` deals out the images of each
    class; or the folders of the subsets hold class folders of the same names, or the CSV file says it of each image. What a model reaches there says how well it
    knows these classes on new pictures, and nothing of new classes.

    A CSV file in place of the folder has the columns file (relative to its own folder), label and, where the subsets are
    given, split.

    A class has the images of its folder and of all folders in it, links followed; an image that links give to two classes, or
    to two subsets, is refused, one that they give to a class twice counts once, and a link to a folder that holds it is none of its
    folders. Hidden files and folders are skipped;
    other files that are not read, images in no class folder, and classes of fewer than two images, which are left out before
    `split` deals out the others, are counted in a warning of one line. Everything is in sorted order, so the same folder gives the
    same classes everywhere. A class more or less deals the others out anew: training keeps the names of its classes, and refuses to
    go on with others.

    Each image is turned as its EXIF data says, converted to grey or RGB, and resized to a square with anti-aliasing
    (Lanczos). Transparent parts become paper. See `zoo.datasets.image_files.read_image`. That is done once, on all cores; what
    comes of it stays in memory up to 256 MiB, and beyond that in a temporary file, see `zoo.datasets.image_store`.

    Args:
        subset: "train", "validation", "trainval" (both) or "test".
        root: path of the folder, or of the CSV file.
        image_size: side in pixels.
        channels: 1 (grey) or 3 (RGB).
        invert: whether the images are dark ink on light paper, to turn into ink 1 and paper 0; False for photographs.
        split: fractions of the classes (of the images of each class, where `split_by` says so) for train, validation and test,
            positive and of sum 1. Where `root` has folders of subsets, for those that are missing.
        split_seed: int of at least 0.
        distortions: whether episodes show each image under a random affine transform, see `zoo.datasets.distortion`;
            meant for ink on paper, since what comes from outside of an image is 0.
        on_error: "raise" names the first file that cannot be read, or those of a CSV file that are not there, and counts the others; "skip" leaves them out, with a
            warning that names a few.
        split_by: "classes" or "images", what the subsets share out.
        fit: how an image becomes a square: "stretch" keeps all of it but not its aspect ratio, "crop" keeps its middle, "pad"
            lays paper around it.
        augmentation: for training, a dict of the arguments of `zoo.datasets.augmentation.Augmentation`, such as
            {"crop_padding": 8, "flip": True, "color_jitter": 0.4}; for photographs.

    Returns:
        ImageClasses named after their folders, of uint8 [image_size, image_size, channels] images.

    Raises:
        ValueError: for an unknown subset or an option out of range; for a folder without class folders or without the
            subset asked for, or with too few classes to split; for a class in two subsets; where no class has two images;
            for an image that cannot be read; for a CSV file with other columns, or files that are not there.
        FileNotFoundError: where `root` is no folder and no CSV file.

    Warns:
        UserWarning: of what is left out.

    Example:
        >>> classes = load("test", root="my_drawings", invert=True)
        >>> episodes = classes.episodes(way=5, shot=1, query=5)
    """
    wanted = parts_of(subset)
    root = _checked_root(root)
    _check_options(image_size, channels, invert, split_seed, distortions, on_error, split_by, fit)
    classes = _classes_of(root, wanted, split, split_seed, split_by, on_error)
    store = ImageStore((image_size, image_size, channels))
    rows = _read(
        [file for files in classes.values() for file in files],
        root if root.is_dir() else root.parent,
        lambda file: read_image(file, image_size, image_size, channels, invert, fit),
        on_error,
        store,
    )
    readable = {name: [file for file in files if file in rows] for name, files in classes.items()}
    classes = large_enough(root, readable)
    if not classes:
        received = listed(f"{name} ({len(files)})" for name, files in readable.items())
        raise ValueError(
            f"The subset {subset!r} of {root} must have a class of at least {FEWEST} images, "
            f"{', '.join(EXTENSIONS)}. Received: {received or 'none'}"
        )
    members = tuple(np.array([rows[file] for file in files]) for files in classes.values())
    names = tuple(_text(name) for name in classes)
    loaded = ImageClasses(store.source(), members, names, (0,) * len(classes)).with_augmentation(augmentation)
    if split_by == "images":
        loaded = loaded.with_image_names(_names_of(rows, root))
    return loaded.with_distortions() if distortions else loaded


def _checked_root(root):
    if not isinstance(root, (str, os.PathLike)) or not os.fspath(root):
        raise ValueError(f"`root` must be a folder with one folder of images per class. Received: root={root!r}")
    root = pathlib.Path(root).expanduser()
    if not root.is_dir() and not (root.is_file() and root.suffix.lower() == ".csv"):
        raise FileNotFoundError(
            f"`root` must be a folder with one folder of images per class, or a CSV file. Received: root={str(root)!r}"
        )
    return root


def _names_of(files, root):
    """The path of each image in the folder, or in that of the CSV file."""
    folder = root if root.is_dir() else root.parent
    return [_text(pathlib.Path(os.path.relpath(file, folder)).as_posix()) for file in files]


def _text(name):
    """A file's name as text that can be written: bytes that are no UTF-8, as old archives have them, as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _check_options(image_size, channels, invert, split_seed, distortions, on_error, split_by, fit):
    if channels not in (1, 3):
        raise ValueError(f"`channels` must be 1 or 3. Received: channels={channels!r}")
    check_int("image_size", image_size, 1)
    check_int("split_seed", split_seed, 0)
    check_bool("invert", invert)
    check_bool("distortions", distortions)
    check_fit(fit)
    if on_error not in ON_ERROR:
        raise ValueError(f"`on_error` must be one of {ON_ERROR}. Received: on_error={on_error!r}")
    if split_by not in BY:
        raise ValueError(f"`split_by` must be one of {BY}. Received: split_by={split_by!r}")


def _classes_of(root, wanted, split, split_seed, split_by, on_error):
    """{class: its files} of the wanted subsets, sorted."""
    if root.is_dir():
        parts = _parts_of_folder(root, split, split_seed, split_by == "images")
    else:
        parts = _parts_of_table(root, split, split_seed, split_by == "images", on_error == "raise")
    for part in wanted:
        if part not in parts:
            needed = f"{fewest_of_train(parts)} {'images of a class' if split_by == 'images' else 'classes'}"
            remedy = "" if part == "train" else f"; 'train' gives some of its own where it has {needed}"
            raise ValueError(
                f"{root} must have the subset {part!r}, called {' or '.join(CALLED[part])}. Received: {listed(parts)}{remedy}"
            )
    names = sorted({name for part in wanted for name in parts[part]})
    return {name: sorted(file for part in wanted for file in parts[part].get(name, ())) for name in names}


def _parts_of_folder(root, split, split_seed, by_images):
    """{subset: {class: its files}} of the subsets that are there."""
    of_subsets = _subset_folders(root)
    if not of_subsets:
        files = _scan(root, {"all": _dealt_folders(root)})
        return _dealt(root, {folder.name: of_class for folder, of_class in files.items()}, split, split_seed, by_images)
    folders = _own_subsets(root, of_subsets, by_images)
    files = _scan(root, folders)
    parts = {part: {folder.name: files[folder] for folder in chosen} for part, chosen in folders.items()}
    return with_missing(root, parts, split, split_seed, by_images)


def _parts_of_table(path, split, split_seed, by_images, all_there):
    """{subset: {class: its files}} of a CSV file."""
    files, subsets = read_table(path, subset_called, by_images, all_there)
    if subsets is not None:
        return with_missing(path, subsets, split, split_seed, by_images)
    return _dealt(path, files, split, split_seed, by_images)


def _dealt(source, classes, split, split_seed, by_images):
    if by_images:
        return deal_images(source, classes, split, split_seed)
    otherwise = "; `split_by` 'images' puts every class into each, with other images"
    return deal_classes(source, classes, split, split_seed, otherwise)


def _subset_folders(root):
    """Folders of `root` by the subset that they are called after; none where they are classes, or there are none."""
    folders = subfolders(root)
    named = {
        part: [path for name in names for path in folders if path.name.lower() == name]
        for part, names in CALLED.items()
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


def _own_subsets(root, folders, by_images):
    """Class folders by subset, of the subsets that are there."""
    parts, subset_of = {}, {}
    for part, present in folders.items():
        if len(present) > 1:
            received = [path.name for path in present]
            raise ValueError(f"{root} must have one folder for subset={part!r}. Received: {received}")
        parts[part] = _class_folders(present[0])
        for folder in parts[part]:
            if folder.name in subset_of and not by_images:
                raise ValueError(
                    f"No class may be in two subsets of {root} unless `split_by` is 'images'. "
                    f"Received: class {folder.name!r} in {subset_of[folder.name]!r} and {part!r}"
                )
            subset_of[folder.name] = part
    return parts


def _class_folders(folder):
    folders = subfolders(folder)
    if not folders:
        loose = image_files(folder)
        inside = f"{counted(len(loose), 'image')} directly in it, and no folder" if loose else "no folder in it"
        raise ValueError(f"{folder} must have one folder of images per class. Received: {inside}")
    return folders


def _dealt_folders(root):
    """The class folders of a folder without those of subsets. Raises ValueError where it holds the one with them, as unpacked
    archives do: everything would be one class."""
    folders = _class_folders(root)
    if len(folders) == 1 and subfolders(folders[0]) and not image_files(folders[0]):
        inside = listed(folder.name for folder in subfolders(folders[0]))
        raise ValueError(
            f"{root} must have one folder of images per class. Received: one folder, {folders[0].name}, with the folders {inside} "
            f"in it; root={str(folders[0])!r} takes these"
        )
    return folders


def _each_once(root, images):
    """Image files by class folder without those that links give to the folder twice: a task, or a subset, would be asked what it has
    learned. Raises ValueError where links give an image to two class folders."""
    folder_of, again = {file: folder for folder, files in sorted(images.items()) for file in files}, set()
    for first, other in repeated(folder_of):
        if folder_of[first] != folder_of[other]:
            both = listed(os.path.relpath(path, root) for path in (first, other))
            raise ValueError(f"{root} must have each image in one class folder. Received: one that is both {both}")
        again.add(other)
    if again:
        names = listed(os.path.relpath(path, root) for path in sorted(again))
        warn_once(f"{root}: {counted(len(again), 'link')} to images of the same class left out: {names}")
    return {folder: [file for file in files if file not in again] for folder, files in images.items()}


def _scan(root, parts):
    """Image files by class folder, all subsets; warns of what lies about and is not read, refuses an image in two of them."""
    images, others = {}, []
    for folder in (folder for folders in parts.values() for folder in folders):
        images[folder], foreign = files_below(folder)
        others += foreign
    parents = {root, *(folder.parent for folder in images)}
    loose = [path for parent in sorted(parents) for path in image_files(parent)]
    if others:
        warn_once(
            f"{root}: {counted(len(others), 'file')} in class folders left out, for being none of {', '.join(EXTENSIONS)}: "
            f"{kinds_of(others)}"
        )
    if loose:
        warn_once(
            f"{root}: {counted(len(loose), 'image')} in no class folder left out: {listed(path.name for path in loose)}"
        )
    return _each_once(root, images)


def _read(files, root, read, on_error, store):
    """{file: its row in the store}; broken files are named, all together, and left out with on_error="skip"."""

    def attempt(file):
        try:
            return read(file)
        except ValueError as error:
            return error

    rows, broken = {}, {}
    for file, result in zip(files, in_parallel(attempt, files)):
        if isinstance(result, ValueError):
            broken[os.path.relpath(file, root)] = result
        else:
            rows[file] = len(store)
            store.add(result)
    if broken and on_error == "raise":
        first, *others = broken.values()
        more = f"and {counted(len(others), 'file')} more; " if others else ""
        raise ValueError(f"{first} ({more}`on_error` 'skip' leaves {'them' if others else 'it'} out)") from first
    if broken:
        warn_once(f"{root}: {counted(len(broken), 'file')} that cannot be read left out: {listed(broken)}")
    return rows
