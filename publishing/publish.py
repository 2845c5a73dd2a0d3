"""Makes an evaluated run a preset of the package, and brings README's tables up to date.

python -m publishing.publish --workdir=DIR --preset=NAME    writes model.json, model.weights.h5 and card.md
python -m publishing.publish --workdir=DIR --card=NAME      model.json and card.md alone, of weights too large to ship
python -m publishing.publish                                README's tables alone, from the presets and cards that are there
"""

import pathlib
import sys
import tempfile

import h5py
import numpy as np
from absl import app, flags

import zoo
from publishing import card, markdown, methods_table, presentations
from publishing.results import NOT_SHIPPED, presets_table
from zoo.core.files import write_text
from zoo.presets import loader, writer

# From the top of the repository, where the command runs and README's links start.
PRESETS, CARDS = pathlib.Path("zoo", "presets"), pathlib.Path("docs", "cards")
PRESENTATIONS = pathlib.Path("docs", "presentations.png")
MAX_BYTES = 1_000_000

_WORKDIR = flags.DEFINE_string("workdir", None, "Evaluated training run to publish.")
_PRESET = flags.DEFINE_string("preset", None, "Name: {method}_{backbone}_{dataset}_{way}way_{shot}shot.")
_CARD = flags.DEFINE_string("card", None, f"The same, of a run whose weights stay out; goes to {CARDS}/NAME.")
_README = flags.DEFINE_string("readme", "README.md", "File with the marks of the tables.")


def publish(workdir, target, with_weights=True):
    """Writes the preset files of a run. Raises ValueError for a run that is not evaluated, or weights too large."""
    source = loader.preset_folder(workdir)
    metadata = loader.preset_metadata(source)
    if not metadata.get("results"):
        raise ValueError(f"{workdir} must have been evaluated: python -m trainers.evaluate --workdir={workdir}")
    model = zoo.from_preset(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-") as scratch:
        folder = pathlib.Path(scratch)  # what is refused leaves `target` as it was
        metadata |= _write_weights(model, folder) if with_weights else {"weights": NOT_SHIPPED}
        writer.save_preset_config(model, folder, metadata)
        text = card.model_card(target.name, metadata, card.count_parameters(model))
        write_text(folder / loader.CARD_FILE, text)
        target.mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.replace(target / path.name)


def _write_weights(model, folder):
    """Writes the weights, as float16 where they would be too large; what to say of them in the metadata."""
    remark = {}
    writer.save_preset_weights(model, folder)
    size = (folder / loader.WEIGHTS_FILE).stat().st_size
    if size >= MAX_BYTES:
        remark = {"weights": "float16 on disk"}
        size = store_as_float16(folder / loader.WEIGHTS_FILE)
    if size >= MAX_BYTES:
        raise ValueError(
            f"The weights of a preset must be below {MAX_BYTES:,} bytes. Received: {size:,}; --card publishes without them"
        )
    return remark


def store_as_float16(path):
    """Rewrites a file of weights with numbers of half the size, which Keras loads as any other; returns its size in bytes.

    Repeat the results afterwards, `python -m trainers.evaluate --preset=NAME`, to see that this cost nothing.
    """
    scratch = path.with_suffix(".tmp")
    with h5py.File(path) as source, h5py.File(scratch, "w", libver="latest") as target:

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                dtype = np.float16 if np.issubdtype(item.dtype, np.floating) else item.dtype
                target.create_dataset(
                    name, data=item[()].astype(dtype), compression="gzip" if item.size > 1000 else None
                )
            else:
                target.require_group(name)
            target[name].attrs.update(item.attrs)

        source.visititems(copy)
        target.attrs.update(source.attrs)
    scratch.replace(path)
    return path.stat().st_size


def published_metadata():
    """The metadata of every preset and card, by folder."""
    folders = [PRESETS / name for name in zoo.list_presets()] + sorted(path.parent for path in CARDS.glob("*/card.md"))
    return {folder: loader.preset_metadata(folder) for folder in folders}


def published_presentations(metadata_by_folder):
    """Accuracy by presentation of the models that have it, by name and protocol."""
    return {
        f"{folder.name}, {protocol}": curve
        for folder, metadata in metadata_by_folder.items()
        for protocol, curve in presentations.presentation_curves(metadata["results"]).items()
    }


def write_readme(path, metadata_by_folder):
    """Brings the tables of methods and results up to date, and the picture beside them."""
    curves = published_presentations(metadata_by_folder)
    markdown.replace_section(path, "methods", methods_table.methods_table(metadata_by_folder))
    markdown.replace_section(path, "results", presets_table(metadata_by_folder))
    markdown.replace_section(path, "presentations", presentations.presentations_table(curves))
    presentations.plot_presentations(PRESENTATIONS, curves)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only. Received: {argv[1:]}")
    if bool(_WORKDIR.value) != bool(_PRESET.value or _CARD.value) or (_PRESET.value and _CARD.value):
        raise app.UsageError("Give --workdir with --preset or --card, or none of them.")
    try:
        if _WORKDIR.value:
            target = CARDS / _CARD.value if _CARD.value else PRESETS / _PRESET.value
            publish(_WORKDIR.value, target, with_weights=_CARD.value is None)
            print(target)
        write_readme(_README.value, published_metadata())
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    app.run(main)
