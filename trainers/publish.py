"""Makes an evaluated run a preset of the package, and brings README's table of figures up to date.

python -m trainers.publish --workdir=DIR --preset=NAME    copies model.json, model.weights.h5 and card.md
python -m trainers.publish                                README's table alone, from the presets that are there
"""

import pathlib
import shutil
import sys

from absl import app, flags

import zoo
from trainers import report
from zoo.presets import loader

_WORKDIR = flags.DEFINE_string("workdir", None, "Evaluated training run to publish.")
_PRESET = flags.DEFINE_string("preset", None, "Name: {method}_{backbone}_{dataset}_{way}way_{shot}shot.")
_README = flags.DEFINE_string("readme", "README.md", "File with the figures mark.")

MAX_BYTES = 1_000_000


def publish(workdir, name):
    """Copies a run's three preset files. Raises ValueError for a run that is not evaluated, or weights too large."""
    source = loader.preset_folder(workdir)
    metadata = loader.preset_metadata(source)
    size = (source / loader.WEIGHTS_FILE).stat().st_size
    if not metadata.get("figures"):
        raise ValueError(f"{workdir} must have been evaluated: python -m trainers.evaluate --workdir={workdir}")
    if size >= MAX_BYTES:
        raise ValueError(f"The weights of a preset must be below {MAX_BYTES:,} bytes. Received: {size:,}")
    target = pathlib.Path(loader.__file__).parent / name
    target.mkdir(exist_ok=True)
    for file in (loader.CONFIG_FILE, loader.WEIGHTS_FILE):
        shutil.copy(source / file, target / file)
    num_parameters = report.count_parameters(zoo.from_preset(target))
    loader.write_text(target / loader.CARD_FILE, report.model_card(name, metadata, num_parameters))
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
        report.replace_section(_README.value, "figures", report.presets_table(metadata))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    app.run(main)
