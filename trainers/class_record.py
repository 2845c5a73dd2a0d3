"""The classes of each subset that a run was made with, so that no other class is ever taken for one of them.

A data set that deals its classes out anew, such as a folder with a class more than before, would otherwise test on
classes that were trained on. Where the subsets share out the images of the same classes (`split_by="images"`), it is the
images that are recorded, by their files.
"""

import hashlib
import json
import pathlib

from zoo.core.files import write_text
from zoo.presets.loader import preset_folder, preset_metadata

CLASSES_FILE = "classes.json"
_MOST_NAMES = 200  # per subset in model.json; of more classes a short hash each
_HASH_DIGITS = 6
_MOST_SHOWN = 5


def names_by_subset(tasks_by_subset):
    """The names of what each subset holds alone, classes or images; of tasks without classes, such as sinusoids, nothing."""
    names = {subset: _own_names(tasks) for subset, tasks in tasks_by_subset.items()}
    return {subset: [str(name) for name in of_subset] for subset, of_subset in names.items() if of_subset is not None}


def _own_names(tasks):
    image_names = getattr(tasks, "image_names", None)
    return getattr(tasks, "names", None) if image_names is None else image_names


def write_record(folder, names):
    """Writes classes.json, all names of all subsets, into the workdir of a run."""
    write_text(pathlib.Path(folder) / CLASSES_FILE, json.dumps(names, indent=1, ensure_ascii=False) + "\n")


def summary(names):
    """The record in a preset's metadata: names, or hashes where there are many, with a fingerprint of all."""
    return {
        subset: {
            "num_classes": len(of_subset),
            "sha256": _fingerprint(of_subset),
            **(
                {"names": of_subset}
                if len(of_subset) <= _MOST_NAMES
                else {"hashes": "".join(_hash(name) for name in of_subset)}
            ),
        }
        for subset, of_subset in names.items()
    }


def check_run(folder, names):
    """Raises ValueError where the classes of a subset are not those of the run in `folder`. A run may have no record."""
    path = pathlib.Path(folder) / CLASSES_FILE
    if path.is_file():
        recorded = summary(_read(path))
        for subset, of_subset in names.items():
            _check(recorded, subset, of_subset)


def check_preset(name_or_folder, subset, tasks):
    """Raises ValueError where the classes of `tasks` are not those of the preset's subset. A preset may have no record."""
    folder = preset_folder(name_or_folder)
    path = folder / CLASSES_FILE
    recorded = summary(_read(path)) if path.is_file() else preset_metadata(folder).get("classes", {})
    for of_subset in names_by_subset({subset: tasks}).values():
        _check(recorded, subset, of_subset)


def _check(recorded, subset, names):
    before = recorded.get(subset)
    if before is None or before["sha256"] == _fingerprint(names):
        return
    added = [name for name in names if not _holds(before, name)]
    missing = sorted(set(before.get("names", ())) - set(names))
    changes = [f"{_listed(added)} not among them"] if added else []
    for other in recorded:
        moved = [name for name in added if _holds(recorded[other], name)]
        changes += [f"of these then in {other!r}: {_listed(moved)}"] if moved else []
    changes += [f"{_listed(missing)} missing"] if missing else []
    changes = changes or [f"{len(names)} of them"]
    raise ValueError(
        f"The classes (the images, with `split_by` 'images') of the subset {subset!r} must be the {before['num_classes']} "
        "that the model was made with: bring the "
        f"data back as it was, or train anew in another --workdir. Received: {'; '.join(changes)}"
    )


def _holds(recorded, name):
    if "names" in recorded:
        return name in recorded["names"]
    hashes, wanted = recorded["hashes"], _hash(name)
    return any(hashes[start : start + _HASH_DIGITS] == wanted for start in range(0, len(hashes), _HASH_DIGITS))


def _hash(name):
    return hashlib.sha256(name.encode()).hexdigest()[:_HASH_DIGITS]


def _fingerprint(names):
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def _listed(names):
    shown = ", ".join(repr(name) for name in names[:_MOST_SHOWN])
    rest = len(names) - _MOST_SHOWN
    return f"{shown} and {rest} others" if rest > 0 else shown


def _read(path):
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
        for of_subset in names.values():
            _fingerprint(of_subset)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} must be the record of the run's classes. Received: {error}") from error
    return names
