"""Data sets. `load` gives tasks to draw episodes from, the same way for each."""

import inspect
import pathlib

from zoo.datasets import glyphs, image_folder, omniglot, sinusoid, tfds_images
from zoo.datasets.sampler import ImageClasses

DATASETS = {
    "glyphs": glyphs.load,
    "image_folder": image_folder.load,
    "omniglot": omniglot.load,
    "sinusoid": sinusoid.load,
    "tfds": tfds_images.load,
}
# Whether the images are ink on paper with ink 1, so that files of dark ink must be inverted; or the option that says so.
INK = {"glyphs": True, "image_folder": "invert", "omniglot": True, "sinusoid": False, "tfds": False}

_IMAGENET = "the terms of ImageNet: for research and education that are not commercial"
# What the owners of the images ask of those who use them, or models trained on them, by a part of the name in tensorflow_datasets,
# or of that of the class list.
TERMS = {"imagenet": _IMAGENET}


def load(name, subset="train", /, **options):
    """The tasks of a subset, with a method `episodes(way, shot, query, num_tasks, seed, ...)`.

    Args:
        name: "glyphs", "omniglot", "sinusoid", "image_folder" or "tfds".
        subset: "train", "validation" or "test".
        **options: of that data set's own `load`; `name` is one of "tfds".

    Raises:
        ValueError: for an unknown name, subset or option value.

    Example:
        >>> letters = load("glyphs", "test")
        >>> photographs = load("tfds", "test", name="mini_imagenet", data_dir="data")
    """
    _check_name(name)
    parameters = inspect.signature(DATASETS[name]).parameters
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    known = set(parameters) - {"subset"}
    unknown = sorted(set(options) - known)
    if unknown and not takes_any:
        raise ValueError(f"Options of {name!r} must be among {sorted(known)}. Received: {unknown}")
    return DATASETS[name](subset, **options)


def is_ink(name, options):
    """Whether the images of a data set, loaded with these options, are ink on paper with ink 1 and paper 0.

    Raises:
        ValueError: for an unknown name.
    """
    _check_name(name)
    ink = INK.get(name, False)  # a data set that was added to DATASETS is one of photographs unless it says otherwise
    return bool(options.get(ink)) if isinstance(ink, str) else ink


def terms(name, options):
    """The terms of use of a data set's images, for the cards of models trained on them; None where none are known of."""
    if name != "tfds":
        return None
    # Without a name the folder says it, or the one around a version.
    of_folder = () if options.get("name") else pathlib.PurePath(options.get("data_dir") or "").parts[-3:]
    names = [options.get("name"), options.get("classes"), *of_folder]
    said = [text for text in names if isinstance(text, str) and not text.lower().endswith(".json")]
    return next((terms for part, terms in TERMS.items() if any(part in text.lower() for text in said)), None)


def _check_name(name):
    if name not in DATASETS:
        raise ValueError(f"Unknown data set: expected one of {sorted(DATASETS)}. Received: {name!r}")
