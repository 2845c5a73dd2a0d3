"""Writes the files of a preset; see `zoo.presets.loader`."""

import json
import pathlib

import keras

from zoo.core.files import check_room, replaced_path, write_text
from zoo.datasets.image_files import check_fit
from zoo.presets.loader import CLASS_KEYS, CONFIG_FILE, FORMAT, WEIGHTS_FILE, check_config, preset_metadata

_MARGIN = 2**20  # bytes of a file of weights beside the weights


def save_preset(model, folder, ink=None, fit=None):
    """Writes a model in hand as a preset; see `FewShotModel.save_preset`."""
    check_config(keras.saving.serialize_keras_object(model))
    if ink not in (None, True, False):
        raise ValueError(f"`ink` must be True, False or None. Received: ink={ink!r}")
    fit = model.image_fit if fit is None else fit
    check_fit(fit)
    folder = pathlib.Path(folder).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"`folder` must be a folder that can be written. Received: {folder}: {error.strerror}"
        ) from error
    if (folder / CONFIG_FILE).is_file() and "config" in preset_metadata(folder):
        raise ValueError(f"`folder` must be one without a training run. Received: {folder}, a run or a preset of one")
    save_preset_weights(model, folder)
    save_preset_config(model, folder, {"ink": bool(model.ink if ink is None else ink), "fit": fit})


def in_float32(config):
    """A serialized model whose layers compute in float32 where they were trained in mixed precision: their weights are float32."""
    if isinstance(config, list):
        return [in_float32(value) for value in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy" and str(config["config"]["name"]).startswith("mixed_"):
        return {**config, "config": {**config["config"], "name": "float32"}}
    return {key: in_float32(value) for key, value in config.items()}


def save_preset_config(model, folder, metadata):
    """Writes model.json of `model` into `folder`, atomically."""
    serialized = keras.saving.serialize_keras_object(model)
    described = {key: serialized[key] for key in (*CLASS_KEYS, "config")}
    content = {"format": FORMAT, "model": described, "metadata": metadata}
    write_text(pathlib.Path(folder) / CONFIG_FILE, json.dumps(in_float32(content), indent=1) + "\n")


def save_preset_weights(model, folder):
    """Writes model.weights.h5 of `model` into `folder`, atomically, without the state of its optimizer."""
    copy = type(model).from_config(
        model.get_config()
    )  # Keras would write a compiled model's optimizer too: 3 times the size
    if len(copy.weights) != len(model.weights):
        raise ValueError(
            "Layers that models inside of a backbone share are copied by Keras as layers of their own, so that it cannot be kept. "
            f"Received: {len(model.weights)} weights, {len(copy.weights)} in the copy"
        )
    copy.set_weights(model.get_weights())
    check_room_for(copy, folder)
    with replaced_path(pathlib.Path(folder, WEIGHTS_FILE)) as path:
        copy.save_weights(path)


def check_room_for(model, folder):
    """Raises OSError where the disk of a folder has no room for a file of the weights of a Keras model."""
    check_room(folder, _MARGIN + sum(weight.nbytes for weight in model.get_weights()))
