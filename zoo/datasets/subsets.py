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


def deal(names, fractions, seed, option, source, otherwise="", parts=PARTS):
    """Names by part, dealt out by `seed`: {"train": [...], "validation": [...], "test": [...]}, each with at least two, as a
    task has, where there are six or more, and else with at least one.

    Args:
        names: of all classes.
        fractions: for train, validation and test, positive and of sum 1.
        seed: int of at least 0.
        option: what the fractions are called, for the message.
        source: where the classes come from, for the message.
        otherwise: what helps where there are too few, for the message.
        parts: of PARTS, the ones to deal out to.

    Raises:
        ValueError: for other fractions, or fewer names than parts.
    """
    check_fractions(option, fractions)
    count = len(names)
    if count < len(parts):
        raise ValueError(
            f"{source} must have at least {len(parts)} classes, one for each of train, validation and test. Received: "
            f"{count} ({', '.join(names)}){otherwise}"
        )
    fewest = 2 if count >= 2 * len(parts) else 1
    return {part: [names[i] for i in rows] for part, rows in dealt_rows(count, fractions, seed, fewest, parts).items()}


def check_fractions(option, fractions):
    """Raises ValueError unless these are three positive fractions of sum 1."""
    given = fractions if isinstance(fractions, (list, tuple)) else ()
    is_split = len(given) == 3 and all(isinstance(part, (int, float)) and part > 0 for part in given)
    if not is_split or not math.isclose(sum(given), 1, abs_tol=1e-6):
        raise ValueError(f"`{option}` must be three positive fractions of sum 1. Received: {option}={fractions!r}")


def dealt_rows(count, fractions, seed, fewest=1, parts=PARTS):
    """The numbers below `count` by part, drawn by `seed`: arrays of about the fractions of these parts, of at least `fewest` each."""
    shares = [fraction for part, fraction in zip(PARTS, fractions) if part in parts]
    ends = [0]
    for later, share in zip(range(len(shares) - 1, 0, -1), shares):
        size = max(round(share / sum(shares) * count), fewest)
        ends.append(ends[-1] + min(size, count - ends[-1] - later * fewest))
    order = np.random.default_rng(seed).permutation(count)
    return dict(zip(parts, np.split(order, ends[1:])))
