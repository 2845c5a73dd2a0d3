"""Adapts a model to a folder of images, and exports the ordinary classifier that it became.

python -m export.freeze_model --preset=NAME|--workdir=DIR --support=FOLDER --output_dir=DIR [--version=N]
    [--allow_transductive] [--max_image_pixels=N]

The support folder holds one folder of images per class; their names are the names of the classes.
"""

from commands import early  # noqa: F401  Ctrl-C during the other imports says one line

# isort: split
import sys

from absl import flags

from commands import launcher, path_flags, sources
from commands.terminal import printable
from export.limits import MAX_IMAGE_PIXELS

_WORKDIR = path_flags.define("workdir", "Folder of a training run.")
_PRESET = path_flags.define("preset", "Name or folder of a preset.")
_OUTPUT_DIR = path_flags.define("output_dir", "Folder of the served model; versions are folders in it.")
_VERSION = flags.DEFINE_integer("version", None, "Version to write; one more than the highest there when left out.", 1)
_SUPPORT = path_flags.define("support", "Folder with one folder of example images per class.")
_ALLOW_TRANSDUCTIVE = flags.DEFINE_bool(
    "allow_transductive", False, "Freeze a model whose answer to an image depends on the others that are asked with it."
)
_MAX_IMAGE_PIXELS = flags.DEFINE_integer("max_image_pixels", MAX_IMAGE_PIXELS, "Of an image file; more: broken.", 1)


def main():
    source = sources.chosen_source(_WORKDIR.value, _PRESET.value)
    sources.check_there(_SUPPORT.value, "--support")
    sources.check_output_folder(_OUTPUT_DIR.value, "--output_dir")
    with launcher.imports():
        import numpy as np

        from export.folders import class_folders
        from export.frozen import check_freezable, freeze
        from export.serving_files import docker_command
        from export.verification import ExportError
        from export.way_and_ink import is_ink, load_for_classes
        from zoo.datasets.image_files import read_image

    try:
        support = class_folders(_SUPPORT.value)
        model = load_for_classes(source, len(support))
        check_freezable(model, _ALLOW_TRANSDUCTIVE.value)
        invert = is_ink(source)
        files = [file for of_class in support.values() for file in of_class]
        labels = [label for label, of_class in enumerate(support.values()) for _ in of_class]
        pixels = [read_image(file, *model.input_shape, invert, model.image_fit) for file in files]
        images = np.stack(pixels) / np.float32(255)
        chosen = (_OUTPUT_DIR.value, _VERSION.value, invert, _ALLOW_TRANSDUCTIVE.value, _MAX_IMAGE_PIXELS.value)
        target = freeze(model, images, labels, list(support), *chosen)
    except ExportError as error:
        sys.exit(f"error: {printable(error)}")
    print(f"exported: {target}, a classifier of {', '.join(map(printable, support))}")
    print(f"serve it: {docker_command(target.parent, target.parent.resolve().name)}")


if __name__ == "__main__":
    launcher.run(main, required=["support", "output_dir"])
