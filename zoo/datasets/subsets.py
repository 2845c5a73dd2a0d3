"""The subsets of a data set of classes."""

import math

import numpy as np

PARTS = ("train", "validation", "test")
SUBSETS = ("train", "validation", "trainval", "test")


# What the folder of a subset, or a word of a table, may be called, in any case.
CALLED = {"train": ("train", "training"), "validation": ("validation", "val", "valid"), "test": ("test", "testing")}


def subset_called(name):
    """The subset that a folder's or a table's word means, None for another word."""
    for part, names in CALLED.items():
        if name.lower() in names:
            return part
    return None


def all_called_subsets(names):
    """Whether these names, of the folders in a folder, are those of subsets, two of them at least."""
    return len(names) > 1 and all(subset_called(name) for name in names)


def parts_of(subset):
    """The parts that a subset is made of, "trainval" of two; no class is in two parts. Raises ValueError if unknown."""
    if subset not in SUBSETS:
        raise ValueError(f"`subset` must be one of {SUBSETS}. Received: subset={subset!r}")
    return ("train", "validation") if subset == "trainval" else (subset,)


def deal(names, fractions, seed, option, source, otherwise=""):
    """Names by part, dealt out by `seed`: {"train": [...], "validation": [...], "test": [...]}, each with at least two, as a
    task has, where there are six or more, and else with at least one.

    Args:
        names: of all classes.
        fractions: for train, validation and test, positive and of sum 1.
        seed: int of at least 0.
        option: what the fractions are called, for the message.
        source: where the classes come from, for the message.
        otherwise: what helps where there are too few, for the message.

    Raises:
        ValueError: for other fractions, or fewer than three names.
    """
    check_fractions(option, fractions)
    count = len(names)
    if count < 3:
        raise ValueError(
            f"{source} must have at least 3 classes, one for each of train, validation and test. Received: "
            f"{count} ({', '.join(names)}){otherwise}"
        )
    fewest = 2 if count >= 2 * len(PARTS) else 1
    return {part: [names[i] for i in rows] for part, rows in dealt_rows(count, fractions, seed, fewest).items()}


def check_fractions(option, fractions):
    """Raises ValueError unless these are three positive fractions of sum 1."""
    given = fractions if isinstance(fractions, (list, tuple)) else ()
    is_split = len(given) == 3 and all(isinstance(part, (int, float)) and part > 0 for part in given)
    if not is_split or not math.isclose(sum(given), 1, abs_tol=1e-6):
        raise ValueError(f"`{option}` must be three positive fractions of sum 1. Received: {option}={fractions!r}")


def dealt_rows(count, fractions, seed, fewest=1):
    """The numbers below `count` by part, drawn by `seed`: arrays of about these fractions, of at least `fewest` each."""
    num_train = min(max(round(fractions[0] * count), fewest), count - 2 * fewest)
    num_validation = min(max(round(fractions[1] * count), fewest), count - num_train - fewest)
    order = np.random.default_rng(seed).permutation(count)
    return dict(zip(PARTS, np.split(order, [num_train, num_train + num_validation])))
