"""Makes an evaluated run a preset of the package, and brings README's tables of methods and figures up to date.

python -m trainers.publish --workdir=DIR --preset=NAME    writes model.json, model.weights.h5 and card.md
python -m trainers.publish                                README's tables alone, from the presets that are there
"""

import pathlib
import shutil
import sys

from absl import app, flags

import zoo
from trainers import catalogue, report
from zoo.presets import loader

_WORKDIR = flags.DEFINE_string("workdir", None, "Evaluated training run to publish.")
_PRESET = flags.DEFINE_string("preset", None, "Name: {method}_{backbone}_{dataset}_{way}way_{shot}shot.")
_README = flags.DEFINE_string("readme", "README.md", "File with the marks of the two tables.")

MAX_BYTES = 1_000_000


def publish(workdir, name):
    """Writes the three preset files of a run. Raises ValueError for a run that is not evaluated, or weights too large."""
    source = loader.preset_folder(workdir)
    metadata = loader.preset_metadata(source)
    if not metadata.get("figures"):
        raise ValueError(f"{workdir} must have been evaluated: python -m trainers.evaluate --workdir={workdir}")
    model = zoo.from_preset(source)
    target = pathlib.Path(loader.__file__).parent / name
    target.mkdir(exist_ok=True)
    loader.save_preset_weights(model, target)
    size = (target / loader.WEIGHTS_FILE).stat().st_size
    if size >= MAX_BYTES:
        shutil.rmtree(target)
        raise ValueError(f"The weights of a preset must be below {MAX_BYTES:,} bytes. Received: {size:,}")
    loader.save_preset_config(model, target, metadata)
    loader.write_text(target / loader.CARD_FILE, report.model_card(name, metadata, report.count_parameters(model)))
    return target


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only. Received: {argv[1:]}")
    if (_WORKDIR.value is None) != (_PRESET.value is None):
        raise app.UsageError("Give --workdir and --preset, or neither.")
    try:
        if _WORKDIR.value:
            print(publish(_WORKDIR.value, _PRESET.value))
        metadata = {name: loader.preset_metadata(name) for name in zoo.list_presets()}
        report.replace_section(_README.value, "methods", catalogue.methods_table(metadata))
        report.replace_section(_README.value, "figures", report.presets_table(metadata))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    app.run(main)
