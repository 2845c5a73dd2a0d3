"""The subsets of a data set of classes."""

SUBSETS = ("train", "validation", "trainval", "test")


def parts_of(subset):
    """The parts that a subset is made of, "trainval" of two; no class is in two parts. Raises ValueError if unknown."""
    if subset not in SUBSETS:
        raise ValueError(f"`subset` must be one of {SUBSETS}. Received: subset={subset!r}")
    return ("train", "validation") if subset == "trainval" else (subset,)
