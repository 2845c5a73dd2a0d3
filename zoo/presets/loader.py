"""Presets: a model as a folder of plain data.

    model.json          {"format": 1, "model": its Keras config, "metadata": data, training, results}
    model.weights.h5    the weights
    card.md             the same results for people

The folder of a training run has the same three files, so a run loads like a preset. Nothing in them is executed: only
classes of Keras and of this zoo are made, and Lambda layers are refused.
"""

import contextlib
import copy
import difflib
import inspect
import json
import math
import os
import pathlib
import threading

import keras

from zoo.core.few_shot_model import FewShotModel
from zoo.datasets.image_files import check_fit

FORMAT = 1
CONFIG_FILE = "model.json"
WEIGHTS_FILE = "model.weights.h5"
CARD_FILE = "card.md"
# What Keras' config says of the class; how the model was compiled and built is no part of a preset.
CLASS_KEYS = ("module", "class_name", "registered_name")
# More is no preset: a mistake, or meant to fill the memory.
_MAX_CONFIG_BYTES, _MAX_DEPTH, _MAX_WEIGHTS = 1 << 24, 100, 1 << 28
_BUILDING = threading.RLock()  # one thread at a time changes a method of Keras, and puts it back
_PRESETS = pathlib.Path(__file__).parent


def list_presets():
    """Names of the presets that come with the package, sorted."""
    return sorted(path.parent.name for path in _PRESETS.glob(f"*/{CONFIG_FILE}"))


def preset_folder(name_or_folder):
    """The folder of a preset's name, or the folder itself. Raises ValueError where there is neither."""
    for folder in (_PRESETS / str(name_or_folder), pathlib.Path(os.path.expanduser(name_or_folder))):
        if (folder / CONFIG_FILE).is_file():
            return folder
    near = difflib.get_close_matches(str(name_or_folder), list_presets())
    raise ValueError(
        f"Expected the name of a preset, of zoo.list_presets(), or a folder with {CONFIG_FILE}, such as the workdir of a "
        f"training run. Received: {str(name_or_folder)!r}{'; near: ' if near else ''}{', '.join(near)}"
    )


def preset_metadata(name_or_folder):
    """The metadata of a preset: data, training and results, as a dict."""
    return _read(preset_folder(name_or_folder))["metadata"]


def model_config(name_or_folder):
    """The Keras config of a preset's model, as plain data. Raises ValueError unless it is of a method of the zoo."""
    serialized = _read(preset_folder(name_or_folder))["model"]
    _check_root(serialized)
    return serialized


def method_name(name_or_folder):
    """The name of a preset's method, PrototypicalNetwork say."""
    serialized = model_config(name_or_folder)
    return keras.saving.get_registered_object(serialized["registered_name"]).__name__


def from_preset(name_or_folder, **overrides):
    """Loads a model with its weights, offline.

    Args:
        name_or_folder: a name from `list_presets()`, a folder of the same layout, or the workdir of a training run.
        **overrides: arguments of the model's constructor to change, such as `way=20` for a PrototypicalNetwork or
            `num_inner_steps_test=10` for MAML; what changes the shape of a weight fails.

    Returns:
        The model, not compiled.

    Raises:
        ValueError: where there is no such preset, its files are malformed, its config names anything but Keras and zoo
            classes, an override is unknown or of no use, or the weights are of another model.

    Example:

    >>> import zoo
    >>> model = zoo.from_preset("prototypical_network_conv4_glyphs_30way_1shot")
    """
    folder = preset_folder(name_or_folder)
    content = _read(folder)
    serialized = content["model"]
    weights = folder / WEIGHTS_FILE
    # A model has no more weights than its file has bytes; one that says so would fill the memory first.
    max_weights = (weights.is_file() and weights.stat().st_size) or _MAX_WEIGHTS
    model = build_model(serialized, max_weights, **overrides)
    check_shapes_kept(serialized, overrides, model)
    if not weights.is_file():
        raise ValueError(
            f"Expected the weights in {weights}: has the training run validated once? Received: no such file"
        )
    try:
        model.load_weights(weights)
    except Exception as error:  # h5py and Keras raise whatever a broken file makes them stumble on
        raise ValueError(
            f"{weights} does not hold the weights of the {type(model).__name__} in {CONFIG_FILE}: {error}"
        ) from error
    ink = content["metadata"].get("ink")
    model.ink = ink if isinstance(ink, bool) else None
    model.image_fit = _recorded_fit(folder, content["metadata"])
    return model


def _recorded_fit(folder, metadata):
    """How pictures become those that the model was trained on: as `save_preset` wrote it, or as the run's data set had it."""
    node = metadata
    for key in ("config", "dataset", "options"):
        node = node.get(key) if isinstance(node, dict) else None
    options = node if isinstance(node, dict) else {}
    fit = metadata.get("fit", options.get("fit", FewShotModel.image_fit))
    try:
        check_fit(fit)
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG_FILE}: {error}") from error
    return fit


def training_config(name_or_folder):
    """The config that a preset was trained by, as plain data.

    Raises:
        ValueError: where it has none: `model.save_preset` wrote it.
    """
    config = preset_metadata(name_or_folder).get("config")
    if not isinstance(config, dict):
        raise ValueError(
            f"Expected a preset of a training run, whose model.json has its config. Received: {name_or_folder}, written by "
            "`save_preset`: evaluate it in Python, `model.evaluate(episodes, steps=...)`"
        )
    return config


def check_config(serialized):
    """Raises ValueError unless a serialized model is one of the zoo, of Keras' and the zoo's classes alone."""
    _check_root(serialized)
    _check_classes(serialized)


def check_shapes_kept(serialized, overrides, model):
    """Raises ValueError where overrides change the shape of a weight, and names them.

    Args:
        serialized: Keras config of the model before the overrides.
        overrides: dict of arguments.
        model: what `build_model` made of the two.
    """
    if not overrides:
        return
    shapes = _weight_shapes(build_model(serialized))
    if _weight_shapes(model) == shapes:
        return
    alone = {name: _weight_shapes(build_model(serialized, **{name: value})) for name, value in overrides.items()}
    guilty = [name for name in overrides if alone[name] != shapes] or list(overrides)
    trained = {name: _brief(serialized["config"][name]) for name in guilty if name in serialized["config"]}
    expected = " and ".join(f"`{name}` must be {trained.get(name, 'left out')}" for name in guilty)
    received = ", ".join(f"{name}={_brief(overrides[name])}" for name in guilty)
    raise ValueError(
        f"{expected}, which the weights of this {type(model).__name__} were trained with. Received: {received}"
    )


def _brief(value):
    text = repr(value)  # of a backbone it is its whole config
    return text if len(text) <= 60 else f"{text[:57]}..."


def _weight_shapes(model):
    return [tuple(weight.shape) for weight in model.weights]


def untrained(name_or_folder, **overrides):
    """The model of a preset as it was before training; needs no file of weights."""
    return build_model(_read(preset_folder(name_or_folder))["model"], **overrides)


def build_model(serialized, max_weights=_MAX_WEIGHTS, **overrides):
    """An untrained model from its Keras config, with the checks of `from_preset`."""
    check_config(serialized)
    known = set(serialized["config"]) | _arguments(keras.saving.get_registered_object(serialized["registered_name"]))
    unknown = sorted(set(overrides) - known)
    if unknown:
        raise ValueError(f"Overrides must be among {sorted(known)}. Received: {unknown}")
    described = {key: serialized.get(key) for key in CLASS_KEYS}
    config = {**copy.deepcopy(serialized["config"]), **overrides}  # Keras takes its config apart
    try:
        with _bounded_weights(max_weights):
            return keras.saving.deserialize_keras_object({**described, "config": config}, safe_mode=True)
    except ValueError:
        raise
    except Exception as error:  # an argument of the wrong kind makes constructors raise anything
        raise ValueError(
            f"The config of a {serialized['registered_name']} must build a model. Received: one that ends in "
            f"{type(error).__name__}: {str(error).rpartition('Exception encountered: ')[2][:500]}"
        ) from error


def _arguments(cls):
    """Names of the arguments of a method's constructor; a preset may be older than some of them."""
    own = [base.__init__ for base in cls.__mro__ if base.__module__.startswith("zoo.") and "__init__" in vars(base)]
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        name
        for function in own
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in named and name != "self"
    }


@contextlib.contextmanager
def _bounded_weights(max_weights):
    """Raises ValueError before a layer of this thread makes more weights than that, all together."""
    thread, num_weights = threading.get_ident(), 0

    def add_weight(self, shape=None, *args, **kwargs):
        nonlocal num_weights
        if threading.get_ident() == thread:
            sizes = (shape,) if isinstance(shape, int) else tuple(shape or ())
            num_weights += math.prod(sizes)
            if num_weights > max_weights:
                raise ValueError(f"The model must have at most {max_weights} weights. Received: {num_weights} or more")
        return original(self, shape, *args, **kwargs)

    with _BUILDING:
        original = keras.layers.Layer.add_weight
        keras.layers.Layer.add_weight = add_weight
        try:
            yield
        finally:
            keras.layers.Layer.add_weight = original


def _read(folder):
    path = folder / CONFIG_FILE
    if path.stat().st_size > _MAX_CONFIG_BYTES:
        raise ValueError(f"{path} must have at most {_MAX_CONFIG_BYTES} bytes. Received: {path.stat().st_size}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} must have format {FORMAT}. Received: {str(content)[:80]}")
    for key in ("model", "metadata"):
        if not isinstance(content.get(key), dict):
            raise ValueError(f"{path} must have {key!r}, an object. Received: {str(content.get(key))[:80]}")
    return content


def _check_root(serialized):
    """Raises ValueError unless a serialized object is one of a zoo method, with a config."""
    name = serialized.get("registered_name")
    method = keras.saving.get_registered_object(name) if isinstance(name, str) else None
    if not (isinstance(method, type) and issubclass(method, FewShotModel)):
        raise ValueError(f"A preset must be a model of a zoo method. Received: {str(name or serialized)[:80]}")
    if not isinstance(serialized.get("config"), dict):
        raise ValueError(f"A {name} must have a config, an object. Received: {str(serialized.get('config'))[:80]}")


def _check_classes(root):
    """Raises ValueError if a serialized object names a class outside Keras and this zoo, or nests too deeply."""
    nodes = [(root, 0)]
    while nodes:
        node, depth = nodes.pop()
        if depth > _MAX_DEPTH:
            raise ValueError(f"A preset's config must nest at most {_MAX_DEPTH} levels deep. Received: a deeper one")
        if isinstance(node, dict):
            if "class_name" in node and "config" in node:
                _check_class(node)
            nodes += [(item, depth + 1) for item in node.values()]
        elif isinstance(node, list):
            nodes += [(item, depth + 1) for item in node]


def _check_class(node):
    module, name, registered = (node.get(key) or "" for key in CLASS_KEYS)
    if not all(isinstance(value, str) for value in (module, registered, name)):
        raise ValueError(f"The names of classes must be strings. Received: {str(node)[:80]}")
    from_keras = module == "keras" or module.startswith("keras.")
    is_tensor = not module and name == "__keras_tensor__"
    if not (from_keras or is_tensor or registered.startswith("metazoa>")):
        raise ValueError(f"A preset may name classes of keras and zoo only. Received: {module}.{name}")
