"""Counts of a config, lowered to what its data can give: for folders that nobody has seen before."""

import copy

from zoo.datasets.messages import counted, listed


def fit_counts(config, tasks):
    """A config whose `fit_counts` is set, with way, shot, query and batch lowered to what the classes have.

    A protocol keeps its shot and has at least one query: as many classes as have images for that, then as many queries as these
    classes have; fewer shots only where not even two classes have an image more than the shots.

    Args:
        config: plain data, see configs/common.py.
        tasks: {subset: its tasks} for "train", "validation" and "test".

    Returns:
        (config, line): the config itself and None where nothing is to be lowered, else a copy, and what was chosen.

    Raises:
        ValueError: for a subset without two classes of two images, which has no episodes.
    """
    if not config.get("fit_counts"):
        return config, None
    fitted, chosen = copy.deepcopy(config), []
    for name, part, subset in _parts(fitted):
        sizes = sorted((len(rows) for rows in tasks[subset].members), reverse=True)
        before = dict(part)
        part.update(_batch(part, sizes) if "batch" in part else _protocol(part, sizes, subset))
        if part != before:
            chosen.append(f"{name} {_in_words(part)} (not {_in_words(before)})")
    return (fitted, f"fitted to the data: {'; '.join(chosen)}") if chosen else (config, None)


def _parts(config):
    """(name, part, subset) of every part of a config that has counts."""
    yield from ((subset, config[subset], subset) for subset in ("train", "validation"))
    yield from ((name, protocol, "test") for name, protocol in config["evaluation"]["protocols"].items())


def _batch(part, sizes):
    return {"batch": min(part["batch"], sum(sizes))}


def _protocol(part, sizes, subset):
    """Counts for classes of these sizes, the largest first."""
    for shot in range(part["shot"], 0, -1):
        way = min(part["way"], sum(size > shot for size in sizes))
        if way >= 2:
            return {"way": way, "shot": shot, "query": min(part["query"], sizes[way - 1] - shot)}
    raise ValueError(
        f"The subset {subset!r} must have at least 2 classes of 2 images, or `config.dataset.options.split_by` be 'images', which puts "
        f"every class into each subset. Received: {counted(len(sizes), 'class', 'classes')}, of {listed(sizes)} images"
    )


def _in_words(part):
    if "batch" in part:
        return f"batches of {part['batch']}"
    return f"{part['way']}-way {part['shot']}-shot with {part['query']} queries per class"
