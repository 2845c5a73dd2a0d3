"""The same classes in training and test, with other images: what `split_by="images"` of the image data sets means."""

import math

import numpy as np

from zoo.datasets.messages import counted, listed, warn_once

BY = ("classes", "images")
_PARTS = ("train", "validation", "test")
_FEWEST = 2  # images of a class in a subset: one for the support and one to ask about


def deal_images(source, classes, fractions, seed):
    """{subset: {class: its files}} with every class in each of "train", "validation" and "test", at least two files each.

    Args:
        source: where the classes come from, for the messages.
        classes: {name: its files}.
        fractions: of the files of each class, for train, validation and test; positive and of sum 1.
        seed: int of at least 0. The files of a class are drawn by it and the number of files alone.

    Raises:
        ValueError: for other fractions.

    Warns:
        UserWarning: of classes that are left out, for having fewer than six files.
    """
    given = fractions if isinstance(fractions, (list, tuple)) else ()
    is_split = len(given) == 3 and all(isinstance(part, (int, float)) and part > 0 for part in given)
    if not is_split or not math.isclose(sum(given), 1, abs_tol=1e-6):
        raise ValueError(f"`split` must be three positive fractions of sum 1. Received: split={fractions!r}")
    needed = _FEWEST * len(_PARTS)
    small = {name: files for name, files in classes.items() if len(files) < needed}
    if small:
        warn_once(
            f"{source}: {counted(len(small), 'class', 'classes')} left out, of fewer than {needed} images, {_FEWEST} for each "
            f"subset: {listed(f'{name} ({len(files)})' for name, files in small.items())}"
        )
    parts = {part: {} for part in _PARTS}
    for name, files in classes.items():
        if name not in small:
            order = np.random.default_rng(seed).permutation(len(files))
            for part, rows in zip(_PARTS, np.split(order, _places(len(files), given))):
                parts[part][name] = sorted(files[row] for row in rows)
    return parts


def _places(count, fractions):
    """Where the files for validation begin, and those for the test."""
    num_train = min(max(round(fractions[0] * count), _FEWEST), count - 2 * _FEWEST)
    num_validation = min(max(round(fractions[1] * count), _FEWEST), count - num_train - _FEWEST)
    return num_train, num_train + num_validation
