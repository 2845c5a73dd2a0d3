"""Writes a contact sheet of a data set: classes as rows, their images as columns.

python -m publishing.show_classes --dataset=glyphs --output=docs/glyphs.png [--subset=test] [--classes=20] [--images=20]
python -m publishing.show_classes --dataset=image_folder --root=FOLDER --output=FILE.png
"""

from absl import app, flags

from commands import launcher, sources

_DATASET = flags.DEFINE_enum("dataset", "glyphs", ("glyphs", "omniglot", "image_folder"), "Data set to show.")
_ROOT = flags.DEFINE_string("root", None, "Folder of your own images, with --dataset=image_folder.")
_SUBSET = flags.DEFINE_enum("subset", "test", ("train", "validation", "test"), "Subset to show.")
_CLASSES = flags.DEFINE_integer("classes", 20, "Rows.", 1)
_IMAGES = flags.DEFINE_integer("images", 20, "Columns.", 1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the choice of classes.", 0)
_OUTPUT = flags.DEFINE_string("output", None, "PNG to write.")


def main():
    if (_DATASET.value == "image_folder") != bool(_ROOT.value):
        raise app.UsageError("Give --root with --dataset=image_folder, and with no other.")
    if _ROOT.value:
        sources.check_there(_ROOT.value, "--root")
    with launcher.imports():
        from PIL import Image

        from publishing.contact_sheet import contact_sheet
        from zoo import datasets

    options = {"root": _ROOT.value, "image_size": 64, "channels": 3} if _DATASET.value == "image_folder" else {}
    classes = datasets.load(_DATASET.value, _SUBSET.value, **options)
    sheet = contact_sheet(classes, _CLASSES.value, _IMAGES.value, _SEED.value, names=True)
    Image.fromarray(sheet).save(_OUTPUT.value)
    print(f"{_OUTPUT.value}: {min(_CLASSES.value, classes.num_classes)} of {classes.num_classes} classes")


if __name__ == "__main__":
    launcher.run(main, required=["output"])
