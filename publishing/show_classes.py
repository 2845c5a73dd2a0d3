"""Writes a contact sheet of a data set: classes as rows, their images as columns.

python -m publishing.show_classes --dataset=glyphs --output=docs/glyphs.png [--subset=test] [--classes=20] [--images=20]
python -m publishing.show_classes --dataset=image_folder --root=FOLDER --output=FILE.png [--split_by=images]
python -m publishing.show_classes --dataset=tfds --name=cifar100 --class_list=cifar_fs --output=FILE.png [--data_dir=FOLDER]

Says how many classes and images each subset has; of your own folder also what cannot be read or is left out, in warnings.
"""

from commands import early  # noqa: F401  Ctrl-C during the other imports says one line

# isort: split
from absl import app, flags

from commands import launcher, path_flags, sources
from commands.terminal import printable

_SUBSETS = ("train", "validation", "test")
_DATASET = flags.DEFINE_enum("dataset", "glyphs", ("glyphs", "omniglot", "image_folder", "tfds"), "Data set to show.")
_ROOT = path_flags.define("root", "Folder of your own images, with --dataset=image_folder.")
_SPLIT_BY = flags.DEFINE_enum(
    "split_by", "classes", ("classes", "images"), "What the subsets of your own folder share out."
)
_NAME = flags.DEFINE_string("name", None, "Data set of tensorflow_datasets, with --dataset=tfds.")
_DATA_DIR = path_flags.define("data_dir", "Where it is prepared; TFDS_DATA_DIR when left out.")
_CLASS_LIST = path_flags.define(
    "class_list", "How its classes are split: a list's name, a JSON file or fractions, 0.6,0.2,0.2; its own splits."
)
_SUBSET = flags.DEFINE_enum("subset", "test", _SUBSETS, "Subset to show.")
_CLASSES = flags.DEFINE_integer("classes", 20, "Rows.", 1)
_IMAGES = flags.DEFINE_integer("images", 20, "Columns.", 1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the choice of classes.", 0)
_OUTPUT = path_flags.define("output", "PNG to write.")


def main():
    if (_DATASET.value == "image_folder") != bool(_ROOT.value):
        raise app.UsageError("Give --root with --dataset=image_folder, and with no other.")
    if _DATASET.value == "tfds" and not (_NAME.value or _DATA_DIR.value):
        raise app.UsageError("Give --name or --data_dir with --dataset=tfds.")
    if _DATASET.value != "tfds" and (_NAME.value or _DATA_DIR.value or _CLASS_LIST.value):
        raise app.UsageError("Give --name, --data_dir and --class_list with --dataset=tfds, and with no other.")
    if _ROOT.value:
        sources.check_there(_ROOT.value, "--root")
    sources.check_output_file(_OUTPUT.value, "--output")
    with launcher.imports():
        from PIL import Image

        from publishing.contact_sheet import contact_sheet
        from zoo import datasets
        from zoo.core.files import replaced_path

    options = _options()
    classes = datasets.load(_DATASET.value, _SUBSET.value, **options)
    sheet = contact_sheet(classes, _CLASSES.value, _IMAGES.value, _SEED.value, names=True)
    with replaced_path(_OUTPUT.value) as scratch:
        Image.fromarray(sheet).save(scratch)
    print(
        f"{_OUTPUT.value}: {min(_CLASSES.value, classes.num_classes)} of {classes.num_classes} classes of {_SUBSET.value}"
    )
    counts = {_SUBSET.value: _counts(classes)}
    del classes  # one subset at a time is in memory
    for subset in _SUBSETS:
        try:
            counts[subset] = counts.get(subset) or _counts(datasets.load(_DATASET.value, subset, **options))
        except (ValueError, OSError) as error:  # that of another subset than is shown
            counts[subset] = f"not there: {printable(error)}"
        print(f"{subset}: {counts[subset]}", flush=True)


def _counts(classes):
    """How many classes and images, and how many images in the smallest class and in the largest."""
    from zoo.datasets.messages import counted

    sizes = [len(rows) for rows in classes.members]
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    smallest, largest = (f"{sizes[index]} ({classes.names[index]})" for index in (order[0], order[-1]))
    of_class = f"{sizes[0]} of each" if len(set(sizes)) == 1 else f"{smallest} to {largest} of a class"
    return f"{counted(len(sizes), 'class', 'classes')}, {counted(sum(sizes), 'image')}, {of_class}"


def _options():
    """Of the data set that is shown."""
    if _DATASET.value == "image_folder":
        options = {"root": _ROOT.value, "image_size": 64, "channels": 3}
        return {**options, "on_error": "skip", "split_by": _SPLIT_BY.value}
    if _DATASET.value == "tfds":
        return {"name": _NAME.value, "data_dir": _DATA_DIR.value, "classes": _CLASS_LIST.value}
    return {}


if __name__ == "__main__":
    launcher.run(main, required=["output"])
