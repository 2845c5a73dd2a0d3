"""How the backbone of a preset or run differs from one in hand where their weights do not tell: by layers without any."""

import collections

import keras

from zoo.presets.loader import model_config


def other_layers(name_or_folder, backbone):
    """The layers that one of the two has and the other has not, in words; None where both have the same.

    Only what Keras' configs say is compared, the classes of layers: nothing is built.

    Args:
        name_or_folder: a preset or workdir.
        backbone: keras.Model.
    """
    there = collections.Counter(_classes(model_config(name_or_folder)["config"].get("backbone")))
    here = collections.Counter(_classes(keras.saving.serialize_keras_object(backbone)))
    words = [f"{name} here and not there" for name in sorted(here - there)]
    words += [f"{name} there and not here" for name in sorted(there - here)]
    return ", ".join(words) or None


def _classes(serialized):
    """Names of the classes of a serialized network's layers, those of nested networks too; none of what is no network."""
    config = serialized.get("config") if isinstance(serialized, dict) else None
    layers = config.get("layers") if isinstance(config, dict) else None
    if not isinstance(layers, list):
        return [serialized.get("class_name")] if isinstance(config, dict) else []
    return [name for layer in layers for name in _classes(layer)]
