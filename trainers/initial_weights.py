"""Weights that a training run starts from: those of a backbone, or those of a whole model."""

import os
import pathlib
import tempfile

import h5py
import numpy as np

from trainers.other_layers import other_layers
from zoo.core.batch_norm import BatchNorm
from zoo.core.held_constants import renew_constants
from zoo.presets.loader import CONFIG_FILE, WEIGHTS_FILE, method_name, preset_folder

BACKBONE_FILE = "backbone.weights.h5"
_OF_A_MODEL = "backbone/"  # where a file of a few-shot model has the weights of its backbone
_OWN = "vars"  # and the method's own that no layer has, as Meta-SGD's rates


def load_initial_weights(model, config):
    """Gives an untrained model the weights that its config starts from, if any.

    `config.model.backbone_weights` is for the backbone: a `.weights.h5` file of one, a folder that has it as
    backbone.weights.h5, or a preset or workdir whose backbone has the same layers. `config.init_from` is for all of the model:
    a preset or a workdir, of another method too (MAML from ANIL, say), where the rates or moments that this one has of its own
    start anew. Where other weights have other shapes (another way, say) or are not there, the backbone's are taken alone. A
    backbone whose BatchNorm has no averages leaves those of the file out.

    Args:
        model: the model of the config, a `zoo.FewShotModel`.
        config: plain data, see configs/common.py.

    Returns:
        A line that says what was taken; None where the config starts from nothing.

    Raises:
        ValueError: where there is no such file or preset, where the backbone's weights are others, and then for the first
            that differs, and for both fields at once.
    """
    source, backbone_source = config.get("init_from"), config["model"].get("backbone_weights")
    if source and backbone_source:
        raise ValueError(
            "Give either `config.init_from` or `config.model.backbone_weights` "
            "(--config.model.backbone_weights= takes away what the config has). "
            f"Received: {source!r} and {backbone_source!r}"
        )
    if source:
        return _start_model("config.init_from", model, source)
    if backbone_source:
        return load_backbone(model.backbone, backbone_source)
    return None


def load_backbone(backbone, source, name="config.model.backbone_weights"):
    """Gives a backbone the weights of a file or folder; see `load_initial_weights`. Returns a line that says so."""
    path, prefix = _backbone_file(name, source)
    with _opened(name, path) as file:
        matched, problem = _matching(backbone, file, prefix)
        if problem:
            raise ValueError(
                f"`{name}` must have the weights of the backbone {backbone.name!r}. Received: {problem} in {path}"
            )
        _assign(backbone, matched)
    return f"the backbone's weights are those of {source}{_unlike(path.parent, backbone)}"


def _start_model(name, model, source):
    folder = _folder(name, source)
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise ValueError(
            f"`{name}` must name a preset or workdir with {WEIGHTS_FILE}. Received: {source!r}, without one"
        )
    method, own = method_name(folder), type(model).__name__
    source_words = str(source) if method == own else f"{source} ({method})"
    with _opened(name, path) as file:
        anew = [_OWN] if method != own and not len(file.get(_OWN, ())) else []
        matched, problem = _matching(model, file, anew=anew)
        if not problem:
            _assign(model, matched)
            but = f", those that {own} alone has start anew" if len(matched) < len(model.weights) else ""
            return f"all weights are those of {source_words}{but}{_unlike(folder, model.backbone)}"
    load_backbone(model.backbone, source, name)
    unlike = _unlike(folder, model.backbone)
    return f"the backbone's weights are those of {source_words}, the others start anew: {problem} there{unlike}"


def _unlike(folder, backbone):
    """What the end of a line says of a source whose backbone sees its images through other layers, colours say."""
    difference = other_layers(folder, backbone) if (folder / CONFIG_FILE).is_file() else None
    return f"; its backbone has other layers: {difference}" if difference else ""


def _backbone_file(name, source):
    """(file, where in it the backbone is)."""
    path = pathlib.Path(os.path.expanduser(source))
    if path.is_file():
        with _opened(name, path) as file:
            return path, _OF_A_MODEL if _OF_A_MODEL in file else ""
    if (path / BACKBONE_FILE).is_file():
        return path / BACKBONE_FILE, ""
    if path.suffix == ".h5":
        raise ValueError(f"`{name}` must name a file that is there. Received: {source!r}")
    return _folder(name, source) / WEIGHTS_FILE, _OF_A_MODEL


def _folder(name, source):
    try:
        return preset_folder(source)
    except ValueError as error:
        raise ValueError(f"`{name}`: {error}") from error


def _opened(name, path):
    try:
        return h5py.File(path)
    except OSError as error:
        raise ValueError(f"`{name}` must be a .weights.h5 file that Keras wrote. Received: {path} ({error})") from error


def _matching(model, file, prefix="", anew=()):
    """([(variable, its dataset in the file)], what differs first, in words, or None); groups `anew` are left out.

    Layers are compared one by one: two of them may have weights of the same shapes in another order.
    """
    without_averages = {
        variable.path
        for layer in model._flatten_layers()
        if isinstance(layer, BatchNorm) and layer.statistics == "batch"
        for variable in layer.weights
    }
    matched = []
    for group, variables in _paths(model).items():
        if group in anew:
            continue
        there = file.get(prefix + group)
        shapes = [there[key].shape for key in sorted(there, key=int)] if there is not None else []
        wanted = [tuple(variable.shape) for variable in variables]
        # A file of running statistics has the averages last.
        num_averages = 2 if variables[0].path in without_averages and len(shapes) == len(wanted) + 2 else 0
        if shapes[: len(shapes) - num_averages] != wanted:
            first = variables[0].path.rpartition("/")[0] or variables[0].path
            return [], f"{_in_words(shapes)} for layer {first}, which has {_in_words(wanted)},"
        matched += [(variable, there[str(index)]) for index, variable in enumerate(variables)]
    return matched, None


def _in_words(shapes):
    return "weights of shapes " + ", ".join(map(str, shapes)) if shapes else "no weights"


def _paths(model):
    """The variables of a model by the group that a file of its weights has them in, in the model's order.

    Keras names the groups by its own rules. They are found by writing a copy whose n-th variable is filled with n.
    """
    copy = type(model).from_config(model.get_config())
    for number, variable in enumerate(copy.weights):
        variable.assign(np.full(variable.shape, number, variable.dtype))
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, WEIGHTS_FILE)
        copy.save_weights(path)
        with h5py.File(path) as file:
            file.visititems(
                lambda key, item: found.update({int(item[(0,) * item.ndim]): key}) if _holds(item) else None
            )
    groups = {}
    for number, variable in enumerate(model.weights):
        group = found[number].rpartition("/")[0]
        groups.setdefault(group, []).append(variable)
    return groups


def _holds(item):
    return isinstance(item, h5py.Dataset) and item.size > 0


def _assign(model, matched):
    for variable, dataset in matched:
        variable.assign(dataset[()])
    renew_constants(model)
