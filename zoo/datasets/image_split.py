"""The same classes in training and test, with other images: what `split_by="images"` of the image data sets means; and subsets
that a data set leaves out."""

from zoo.datasets.messages import counted, listed, warn_once
from zoo.datasets.subsets import PARTS, check_fractions, deal, dealt_rows

BY = ("classes", "images")
FEWEST = 2  # images of a class in a subset: one for the support and one to ask about


def large_enough(source, classes, needed=FEWEST, why=""):
    """The classes of at least so many files; warns of the others, with why so many."""
    small = {name: files for name, files in classes.items() if len(files) < needed}
    if small:
        names = listed(f"{name} ({len(files)})" for name, files in small.items())
        warn_once(
            f"{source}: {counted(len(small), 'class', 'classes')} left out, of fewer than {needed} images{why}: {names}"
        )
    return {name: files for name, files in classes.items() if name not in small}


def deal_classes(source, classes, fractions, seed, otherwise="", subsets=PARTS):
    """{subset: {class: its files}} with each class in one of "train", "validation" and "test"; arguments as in `deal_images`, and
    what helps where there are too few. Those that no task can have go before, and leave the others to each subset."""
    classes = large_enough(source, classes)
    dealt = deal(sorted(classes), fractions, seed, "split", source, otherwise, subsets)
    return {part: {name: classes[name] for name in names} for part, names in dealt.items()}


def deal_images(source, classes, fractions, seed, subsets=PARTS):
    """{subset: {class: its files}} with every class in each of "train", "validation" and "test", at least two files each.

    Args:
        source: where the classes come from, for the messages.
        classes: {name: its files}.
        fractions: of the files of each class, for train, validation and test; positive and of sum 1.
        seed: int of at least 0. The files of a class are drawn by it and the number of files alone.
        subsets: of PARTS, the ones to deal out to.

    Raises:
        ValueError: for other fractions.

    Warns:
        UserWarning: of classes that are left out, for having fewer than six files.
    """
    check_fractions("split", fractions)
    parts = {part: {} for part in subsets}
    for name, files in large_enough(source, classes, FEWEST * len(subsets), f", {FEWEST} for each subset").items():
        for part, rows in dealt_rows(len(files), fractions, seed, FEWEST, subsets).items():
            parts[part][name] = sorted(files[row] for row in rows)
    return parts


def with_missing(source, parts, fractions, seed, by_images):
    """The subsets of a data set that has some of its own, with those that it leaves out dealt out of its training data.

    Args:
        source: where they come from, for the messages.
        parts: {subset: {class: its files}}.
        fractions, seed: as in `deal_images`; of "train" and the missing subsets by their ratios.
        by_images: whether the missing subsets have images of the training classes, rather than classes of their own.

    Returns:
        {subset: {class: its files}}; `parts` itself where nothing is missing, or training has too little for two classes, or two
        images of a class, in each.

    Warns:
        UserWarning: of what was taken.
    """
    missing = [part for part in PARTS if part not in parts]
    subsets = ["train", *missing]
    classes = dict(sorted(parts.get("train", {}).items()))
    sizes = [len(files) for files in classes.values()]
    sizes = sizes if by_images else [sum(size >= FEWEST for size in sizes)]
    if not missing or max(sizes, default=0) < fewest_of_train(parts):
        return parts
    deal_out = deal_images if by_images else deal_classes
    dealt = deal_out(source, classes, fractions, seed, subsets=subsets)
    for part in missing:
        taken = counted(sum(map(len, dealt[part].values())), "image") if by_images else listed(dealt[part])
        warn_once(
            f"{source} has no subset {part!r}: of the {counted(len(classes), 'class', 'classes')} of 'train' it gets {taken}"
        )
    return {**parts, **dealt}


def fewest_of_train(parts):
    """How many classes, or images of a class, training data must have to give some to each of the missing subsets."""
    return FEWEST * (1 + sum(part not in parts for part in PARTS))
