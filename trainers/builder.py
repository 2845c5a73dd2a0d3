"""From a config to the objects it names."""

import inspect
import json
import os

import keras
import numpy as np

import zoo
from zoo.core import arguments
from zoo.datasets.sampler import ENDLESS

SUBSETS = ("train", "validation", "test")
SCHEDULES = ("constant", "cosine", "linear", "halving")


def to_dict(config):
    """A config as plain JSON data, as a run keeps it.

    Options of the data set that are None are left out, and the paths among them are absolute: a run is evaluated from any folder.
    """
    config = json.loads(config.to_json())
    dataset = config["dataset"]
    options, dataset["train_options"] = _given(dataset["options"]), _given(dataset["train_options"])
    dataset["options"] = {name: _absolute(name, value) for name, value in options.items()}
    return config


def _given(options):
    """Those that are not None, also of the dicts among them."""
    given = {name: value for name, value in options.items() if value is not None}
    return {name: _given(value) if isinstance(value, dict) else value for name, value in given.items()}


def _absolute(name, value):
    """A path as an absolute path; `classes` may be the name of a list that comes with the package."""
    is_path = name in ("root", "data_dir") or (name == "classes" and str(value).lower().endswith(".json"))
    return os.path.abspath(os.path.expanduser(value)) if is_path and value else value


def method_class(config):
    """The zoo class that the config names."""
    method = config["model"]["method"]
    if method not in zoo.METHODS:
        raise ValueError(f"`config.model.method` must be one of {sorted(zoo.METHODS)}. Received: {method!r}")
    return zoo.METHODS[method]


def option_defaults(config):
    """What an option is where a config leaves it out, by its place in the config, "model.options.transform" say."""
    dataset, model = config["dataset"], config["model"]
    method = zoo.METHODS.get(model["method"], object)
    functions = {
        "dataset.options": [zoo.datasets.DATASETS.get(dataset["name"])],
        "model.options": [base.__init__ for base in reversed(method.__mro__) if "__init__" in vars(base)],
        "model.backbone_options": [zoo.backbones.BACKBONES.get(model["backbone"])],
    }
    return {
        f"{place}.{name}": list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
        for place, of_place in functions.items()
        for function in filter(None, of_place)  # names that are not known are refused where they are built
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not parameter.empty
    }


def with_precision(config, precision):
    """The config of a run whose backbone computes in that precision, a dtype policy of Keras; float32 leaves it as it is."""
    return config if precision == "float32" else {**config, "precision": precision}


def with_input_shape(config, tasks):
    """The config with the shape of the data's inputs where its `backbone_options.input_shape` is None."""
    model = config["model"]
    if model["backbone_options"].get("input_shape", ()) is not None:
        return config
    options = {**model["backbone_options"], "input_shape": list(tasks.input_shape)}
    return {**config, "model": {**model, "backbone_options": options}}


def build_model(config):
    """The untrained model; `seed` fixes its weights. It computes in `precision` where the config has one, else by Keras' policy."""
    keras.utils.set_random_seed(config["seed"])
    model = config["model"]
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.get("precision", before))
    try:
        backbone = zoo.backbones.build(model["backbone"], **model["backbone_options"])
        return method_class(config)(backbone, name=model["method"].lower(), **model["options"])
    finally:
        keras.config.set_dtype_policy(before)


def build_tasks(dataset, subset):
    """The tasks of a subset, from the config's `dataset` part."""
    options = {**dataset["options"], **(dataset["train_options"] if subset == "train" else {})}
    return zoo.datasets.load(dataset["name"], subset, **options)


def build_learning_rate(outer):
    """The outer learning rate: a number, or a schedule of Keras from steps to numbers."""
    rate = arguments.number("config.outer.learning_rate", outer["learning_rate"], at_least=0)
    num_steps = outer["num_steps"]
    if outer["schedule"] not in SCHEDULES:
        raise ValueError(f"`config.outer.schedule` must be one of {SCHEDULES}. Received: {outer['schedule']!r}")
    if outer["schedule"] == "cosine":
        return keras.optimizers.schedules.CosineDecay(rate, decay_steps=num_steps)
    if outer["schedule"] == "linear":
        return keras.optimizers.schedules.PolynomialDecay(rate, decay_steps=num_steps, end_learning_rate=0.0)
    if outer["schedule"] == "halving":
        every = arguments.count("config.outer.halve_every", outer["halve_every"])
        return keras.optimizers.schedules.ExponentialDecay(rate, every, 0.5, staircase=True)
    return rate


def build_optimizer(outer):
    """The outer optimizer with its learning rate schedule.

    Raises:
        ValueError: for what the optimizer cannot be made with; for `use_ema` without `ema_overwrite_frequency`: Keras takes the
            averages at the end of `fit`, which a run does not call.
    """
    options = {
        name: arguments.number(f"config.outer.optimizer_options.{name}", value) if isinstance(value, float) else value
        for name, value in outer.get("optimizer_options", {}).items()
    }
    norm = outer.get("global_clipnorm")
    if norm is not None:  # Keras takes one below 0, and does not clip
        options["global_clipnorm"] = arguments.number("config.outer.global_clipnorm", norm, above=0)
    if options.get("use_ema") and not options.get("ema_overwrite_frequency"):
        raise ValueError(
            "`config.outer.optimizer_options.use_ema` must have an `ema_overwrite_frequency` beside it: nothing else puts the "
            f"averages in the weights. Received: {options}"
        )
    return _optimizer_class(outer["optimizer"], options)(build_learning_rate(outer), **options)


def _optimizer_class(name, options):
    """The Keras optimizer of that name in any case. Raises ValueError for an unknown one, or an option it does not take."""
    classes = [cls for cls in vars(keras.optimizers).values() if inspect.isclass(cls) and cls is not keras.Optimizer]
    by_name = {cls.__name__.lower(): cls for cls in classes if "learning_rate" in inspect.signature(cls).parameters}
    if str(name).lower() not in by_name:
        raise ValueError(f"`config.outer.optimizer` must be one of {sorted(by_name)}. Received: {name!r}")
    cls = by_name[name.lower()]
    known = set(inspect.signature(cls).parameters) - {"learning_rate", "kwargs", "name"}
    for option in set(options) - known:
        raise ValueError(
            f"`config.outer.optimizer_options` of {cls.__name__} must be among {sorted(known)}. Received: {option!r}"
        )
    return cls


def episodes(tasks, protocol, seed, num_tasks, **options):
    """Episodes of a protocol (way, shot, query, and `within_groups` where it says so), `num_tasks` per batch."""
    return tasks.episodes(num_tasks=num_tasks, seed=seed, **episode_options(protocol), **options)


def drawn_names(tasks, protocol, seed):
    """The names of the classes in the first task of `episodes`, by label; None where tasks have no classes."""
    return tasks.drawn_names(seed=seed, **episode_options(protocol)) if hasattr(tasks, "drawn_names") else None


def episode_options(protocol):
    """What a protocol says to `episodes` and `check_episodes` of a data set."""
    names = ("way", "shot", "query", *(name for name in ("within_groups",) if name in protocol))
    return {name: as_count(protocol[name]) for name in names}


def stream_seed(seed, stream):
    """A seed of its own for each use of the data, so that training and validation never share a draw."""
    return int(np.random.SeedSequence([seed, SUBSETS.index(stream)]).generate_state(1)[0]) % ENDLESS


def as_count(value):
    """A count of a config as data sets take it: an int, or (lowest, highest) for a list of two."""
    return tuple(value) if isinstance(value, (list, tuple)) else value
