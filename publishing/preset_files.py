"""From an evaluated run to the files of a preset."""

import pathlib
import tempfile

import h5py
import numpy as np

import zoo
from commands.calling import command_line
from publishing import card
from publishing.results import NOT_SHIPPED
from zoo.core.files import check_room, replaced_path, write_text
from zoo.presets import loader, writer

MAX_BYTES = 1_000_000


def publish(workdir, target, with_weights=True):
    """Writes the preset files of a run. Raises ValueError for a run that is not evaluated, or weights too large."""
    source = loader.preset_folder(workdir)
    metadata = loader.preset_metadata(source)
    if not metadata.get("results"):
        command = command_line("trainers.evaluate", f"--workdir={workdir}")
        raise ValueError(f"{workdir} must have been evaluated: {command}")
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
    check_room(path.parent, path.stat().st_size)  # h5py ends the process where there is none
    with replaced_path(path) as scratch, h5py.File(path) as source, h5py.File(scratch, "w", libver="latest") as target:

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
    return path.stat().st_size
