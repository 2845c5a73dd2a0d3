"""Data sets. `load` gives tasks to draw episodes from, the same way for each."""

from zoo.datasets import glyphs, image_folder, omniglot, sinusoid
from zoo.datasets.sampler import ImageClasses

DATASETS = {
    "glyphs": glyphs.load,
    "image_folder": image_folder.load,
    "omniglot": omniglot.load,
    "sinusoid": sinusoid.load,
}


def load(name, subset="train", **options):
    """The tasks of a subset, with a method `episodes(way, shot, query, tasks, seed, ...)`.

    Args:
        name: "glyphs", "omniglot", "sinusoid" or "image_folder".
        subset: "train", "validation" or "test".
        **options: of that data set's own `load`.

    Raises:
        ValueError: for an unknown name, subset or option value.
    """
    if name not in DATASETS:
        raise ValueError(f"Unknown data set: expected one of {sorted(DATASETS)}. Received: {name!r}")
    return DATASETS[name](subset, **options)
