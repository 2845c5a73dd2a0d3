"""Presets: a model as a folder of plain data.

    model.json          {"format": 1, "model": its Keras config, "metadata": data, training, results}
    model.weights.h5    the weights
    card.md             the same results for people

The folder of a training run has the same three files, so a run loads like a preset. Nothing in them is executed: only
classes of Keras and of this zoo are made, and Lambda layers are refused.
"""

import json
import pathlib

import keras

FORMAT = 1
CONFIG_FILE = "model.json"
WEIGHTS_FILE = "model.weights.h5"
CARD_FILE = "card.md"
# What Keras' config says of the class; how the model was compiled and built is no part of a preset.
CLASS_KEYS = ("module", "class_name", "registered_name")
_PRESETS = pathlib.Path(__file__).parent


def list_presets():
    """Names of the presets that come with the package, sorted."""
    return sorted(path.parent.name for path in _PRESETS.glob(f"*/{CONFIG_FILE}"))


def preset_folder(name_or_folder):
    """The folder of a preset's name, or the folder itself. Raises ValueError where there is neither."""
    for folder in (_PRESETS / str(name_or_folder), pathlib.Path(name_or_folder)):
        if (folder / CONFIG_FILE).is_file():
            return folder
    raise ValueError(
        f"Expected the name of a preset ({', '.join(list_presets())}), or a folder with {CONFIG_FILE}, such as the workdir "
        f"of a training run. Received: {str(name_or_folder)!r}"
    )


def preset_metadata(name_or_folder):
    """The metadata of a preset: data, training and results, as a dict."""
    return _read(preset_folder(name_or_folder))["metadata"]


def from_preset(name_or_folder, **overrides):
    """Loads a model with its weights, offline.

    Args:
        name_or_folder: a name from `list_presets()`, a folder of the same layout, or the workdir of a training run.
        **overrides: arguments of the model's constructor to change, such as `way=20` for a PrototypicalNetwork or
            `num_inner_steps_test=10` for MAML; what changes the shape of a weight fails.

    Returns:
        The model, not compiled.

    Raises:
        ValueError: where there is no such preset, its config names anything but Keras and zoo classes, an override is
            unknown, or the weights are of another model.

    Example:

    >>> import zoo
    >>> model = zoo.from_preset("prototypical_network_conv4_glyphs_30way_1shot")
    """
    folder = preset_folder(name_or_folder)
    model = untrained(folder, **overrides)
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        raise ValueError(
            f"Expected the weights in {weights}: has the training run validated once? Received: no such file"
        )
    try:
        model.load_weights(weights)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(
            f"{weights} does not hold the weights of the {type(model).__name__} in {CONFIG_FILE}: {error}"
        ) from error
    return model


def untrained(name_or_folder, **overrides):
    """The model of a preset as it was before training; needs no file of weights."""
    return build_model(_read(preset_folder(name_or_folder))["model"], **overrides)


def build_model(serialized, **overrides):
    """An untrained model from its Keras config, with the checks of `from_preset`."""
    _check_classes(serialized)
    unknown = sorted(set(overrides) - set(serialized["config"]))
    if unknown:
        raise ValueError(f"Overrides must be among {sorted(serialized['config'])}. Received: {unknown}")
    described = {key: serialized.get(key) for key in CLASS_KEYS}
    return keras.saving.deserialize_keras_object(
        {**described, "config": {**serialized["config"], **overrides}}, safe_mode=True
    )


def _read(folder):
    path = folder / CONFIG_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} must have format {FORMAT}. Received: {str(content)[:80]}")
    return content


def _check_classes(node):
    """Raises ValueError if a serialized object names a class outside Keras and this zoo."""
    if isinstance(node, list):
        for item in node:
            _check_classes(item)
    elif isinstance(node, dict):
        if "class_name" in node and "config" in node:
            module, registered = node.get("module") or "", node.get("registered_name") or ""
            from_keras = module == "keras" or module.startswith("keras.")
            is_tensor = not module and node["class_name"] == "__keras_tensor__"
            if not (from_keras or is_tensor or registered.startswith("metazoa>")):
                raise ValueError(
                    f"A preset may name classes of keras and zoo only. Received: {module}.{node['class_name']}"
                )
        for item in node.values():
            _check_classes(item)
