"""The same classes in training and test, with other images: what `split_by="images"` of the image data sets means."""

from zoo.datasets.messages import counted, listed, warn_once
from zoo.datasets.subsets import PARTS, check_fractions, dealt_rows

BY = ("classes", "images")
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
    check_fractions("split", fractions)
    needed = _FEWEST * len(PARTS)
    small = {name: files for name, files in classes.items() if len(files) < needed}
    if small:
        warn_once(
            f"{source}: {counted(len(small), 'class', 'classes')} left out, of fewer than {needed} images, {_FEWEST} for each "
            f"subset: {listed(f'{name} ({len(files)})' for name, files in small.items())}"
        )
    parts = {part: {} for part in PARTS}
    for name, files in classes.items():
        if name not in small:
            for part, rows in dealt_rows(len(files), fractions, seed, _FEWEST).items():
                parts[part][name] = sorted(files[row] for row in rows)
    return parts
