"""Which classes train, validate and test: the lists of the benchmarks, lists of your own, or fractions."""

import collections
import json
import os
import pathlib
import re

from zoo.datasets.messages import counted, listed
from zoo.datasets.subsets import PARTS, deal

# splits/NAME.json: Ravi and Larochelle 2017 (mini_imagenet), Bertinetto et al. 2019 (cifar_fs), Oreshkin et al. 2018 (fc100),
# Ren et al. 2018 (tiered_imagenet) and every second class (cub), by the names that tensorflow_datasets gives the classes.
NAMED = ("cifar_fs", "cub", "fc100", "mini_imagenet", "tiered_imagenet")

_FOLDER = pathlib.Path(__file__).parent / "splits"
_NUMBERED = re.compile(r"^0*(\d+)\.")


def classes_by_part(classes, names, split_seed, source):
    """{"train": {label: name}, "validation": ..., "test": ...}: the classes of a data set by a class list.

    Args:
        classes: one of NAMED, the path of a JSON file {"train": [names], "validation": [names], "test": [names]}, such a
            dict, or fractions for train, validation and test, dealt out by `split_seed`; also as text, as flags have them.
        names: names of the data set's classes, by label. Where they are numbers alone, a list of "001.Name" names them.
        split_seed: int of at least 0.
        source: what the data set is called, for messages.

    Raises:
        ValueError: for an unknown list, a file that holds none, a class that is in two parts, or one that is not there.
        FileNotFoundError: where there is no such file.
    """
    classes = _fractions_of_text(classes) or classes
    if isinstance(classes, (list, tuple)):
        lists, title = deal(list(names), classes, split_seed, "classes", source), "classes"
    else:
        lists, title = _read(classes)
    part_of = {}
    for part, chosen in lists.items():
        twice = [name for name, count in collections.Counter(chosen).items() if count > 1]
        if twice:
            raise ValueError(f"{title} must name each class once. Received: {listed(twice)} twice in {part}")
        for name in chosen:
            if part_of.setdefault(name, part) != part:
                raise ValueError(
                    f"No class may be in two parts of {title}. Received: {name!r} in {part_of[name]} and {part}"
                )
    labels = _labels(names, part_of)
    missing = [name for name in part_of if name not in labels]
    if missing:
        raise ValueError(
            f"{title} must name classes of {source}, such as {listed(names)}. "
            f"Received: {counted(len(missing), 'class', 'classes')} that it has not: {listed(missing)}"
        )
    return {part: dict(sorted((labels[name], name) for name, of in part_of.items() if of == part)) for part in PARTS}


def _fractions_of_text(classes):
    """[0.6, 0.2, 0.2] of "0.6,0.2,0.2", brackets around it or not; None of anything else."""
    try:
        numbers = [float(part) for part in classes.strip("()[] ").split(",")] if isinstance(classes, str) else []
    except ValueError:
        return None
    return numbers if len(numbers) > 1 else None


def _labels(names, wanted):
    """{name: label}; of classes that have numbers in place of names, those that the wanted names begin with, from 1."""
    if all(name == str(label) for label, name in enumerate(names)):
        numbers = {name: _NUMBERED.match(name) for name in wanted}
        if all(numbers.values()):
            return {name: int(found[1]) - 1 for name, found in numbers.items() if 0 < int(found[1]) <= len(names)}
    return {name: label for label, name in enumerate(names)}


def _read(classes):
    """({part: names}, what the list is called)."""
    if isinstance(classes, dict):
        return _checked(classes, "`classes`"), "`classes`"
    if not isinstance(classes, (str, os.PathLike)):
        raise ValueError(
            f"`classes` must be one of {NAMED}, a JSON file, a dict or three fractions. Received: classes={classes!r}"
        )
    if classes in NAMED:
        return _checked(json.loads((_FOLDER / f"{classes}.json").read_text(encoding="utf-8")), classes), str(classes)
    path = pathlib.Path(classes).expanduser()
    if path.suffix.lower() != ".json":
        raise ValueError(
            f"`classes` must be one of {NAMED}, or a JSON file, or fractions, 0.6,0.2,0.2. Received: classes={str(classes)!r}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"`classes` must be a JSON file that is there. Received: classes={str(classes)!r}")
    try:
        lists = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} must be a JSON file: {error}") from error
    return _checked(lists, path), str(path)


def _checked(lists, title):
    """Lists by part, "val" read as "validation"; each of at least one class."""
    lists = (
        {"validation" if part == "val" else part: names for part, names in lists.items()}
        if isinstance(lists, dict)
        else {}
    )
    is_whole = set(lists) == set(PARTS) and all(
        isinstance(names, (list, tuple)) and names and all(isinstance(name, str) for name in names)
        for names in lists.values()
    )
    if not is_whole:
        raise ValueError(
            f"{title} must hold the lists of names {', '.join(PARTS)}, none of them empty. Received: {listed(lists) or 'none'}"
        )
    return {part: list(lists[part]) for part in PARTS}
