"""Counts of a config, lowered to what its data can give: for folders that nobody has seen before."""

import copy

from publishing.results import format_count
from zoo.datasets.messages import counted, listed


def fit_counts(config, tasks):
    """A config whose `fit_counts` is set, with way, shot, query and batch lowered to what the classes have.

    A protocol keeps its shot and has at least one query: as many classes as have images for that, then as many queries as these
    classes have; fewer shots only where not even two classes have an image more than the shots. A protocol of evaluation whose shots
    were lowered says so in its name, `5shot with shot=3`; of those that become the same, the first is left.

    Args:
        config: plain data, see configs/common.py.
        tasks: {subset: its tasks} for "train", "validation" and "test".

    Returns:
        (config, line): the config itself and None where nothing is to be lowered, else a copy, and what was chosen.

    Raises:
        ValueError: for a subset without two classes of two images, which has no episodes, and for tasks without classes.
    """
    if not config.get("fit_counts"):
        return config, None
    if not all(hasattr(subset, "members") for subset in tasks.values()):
        raise ValueError("`config.fit_counts` must be False for tasks without classes. Received: True")
    fitted, chosen = copy.deepcopy(config), []
    for name, part, subset in _parts(fitted):
        before = dict(part)
        part.update(_batch(part, tasks[subset]) if "batch" in part else _protocol(part, tasks[subset], subset))
        if part != before:
            chosen.append(f"{name} {_in_words(part)} (not {_in_words(before)})")
    evaluation = fitted["evaluation"]
    evaluation["protocols"] = _named_anew(evaluation["protocols"], config["evaluation"]["protocols"])
    return (fitted, f"fitted to the data: {'; '.join(chosen)}") if chosen else (config, None)


def _parts(config):
    """(name, part, subset) of every part of a config that has counts."""
    yield from ((subset, config[subset], subset) for subset in ("train", "validation"))
    yield from ((name, protocol, "test") for name, protocol in config["evaluation"]["protocols"].items())


def _named_anew(protocols, before):
    """The protocols by names that hold for their shots, each once."""
    named = {}
    for name, protocol in protocols.items():
        is_lowered = protocol["shot"] != before[name]["shot"]
        if protocol not in named.values():
            named[f"{name} with shot={format_count(protocol['shot'])}" if is_lowered else name] = protocol
    return named


def _batch(part, tasks):
    return {"batch": min(part["batch"], tasks.num_images)}


def _protocol(part, tasks, subset):
    """Counts for the classes of these tasks; none in place of those that no data can give, which other checks name."""
    if _highest(part["way"]) < 2 or _highest(part["shot"]) < 1:
        return {}
    sizes = sorted((len(rows) for rows in tasks.members), reverse=True)
    for shot in range(_highest(part["shot"]), 0, -1):
        way = min(_highest(part["way"]), sum(size > shot for size in sizes))
        if way >= 2:
            query = min(part["query"], sizes[way - 1] - shot)
            return {"way": _at_most(part["way"], way), "shot": _at_most(part["shot"], shot), "query": query}
    of_all = tasks.image_names is not None  # each subset has every class
    remedy = (
        "" if of_all else ", or `config.dataset.options.split_by` be 'images', which puts every class into each subset"
    )
    raise ValueError(
        f"The subset {subset!r} must have at least 2 classes of 2 images{remedy}. "
        f"Received: {counted(len(sizes), 'class', 'classes')}, of {listed(sizes)} images"
    )


def _highest(count):
    return count[1] if isinstance(count, list) else count


def _at_most(count, most):
    return [min(bound, most) for bound in count] if isinstance(count, list) else min(count, most)


def _in_words(part):
    if "batch" in part:
        return f"batches of {part['batch']}"
    way, shot = format_count(part["way"]), format_count(part["shot"])
    return f"{way}-way {shot}-shot with {counted(part['query'], 'query', 'queries')} per class"
