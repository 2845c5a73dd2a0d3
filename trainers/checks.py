"""What must hold before a run begins, so that no training ends with a model that nothing can evaluate."""

import keras

from commands import calling
from trainers import builder
from zoo.core.compiling import check_trainable
from zoo.datasets.options import check_int
from zoo.presets import loader

_COUNTS = (
    "outer.num_steps",
    "log_every",
    "checkpoint_every",
    "validation.every",
    "validation.episodes",
    "evaluation.episodes",
    "evaluation.tasks",
)
_PROTOCOL_FIELDS = ("way", "shot", "query", "overrides")


def check_kind(config, binary):
    """Raises ValueError where a config is one of the other binary: `train` counts tasks, `pretrain` images."""
    meant = "trainers.pretrain" if "batch" in config["train"] else "trainers.train"
    if meant != binary:
        raise ValueError(
            f"`config.train` of {calling.command_line(binary)} must have {'`batch`' if binary == 'trainers.pretrain' else '`tasks`'}. "
            f"Received: {config['train']}, a config of {calling.command_line(meant)}"
        )


def check_run(config, model, tasks, streams=("train", "validation")):
    """Raises ValueError, with the field of the config, where the parts of a config do not fit each other.

    Args:
        config: plain data, see configs/common.py.
        model: the model of the config.
        tasks: {subset: its tasks} for "train", "validation" and "test".
        streams: those of "train" and "validation" that draw episodes.
    """
    _check_fields(config)
    if "train" in streams:
        check_trainable(model)
    check_input_shape(model, tasks["train"], config)
    for stream in streams:
        check_protocol(f"config.{stream}", config[stream], config[stream]["tasks"], model, tasks[stream], stream)
    part = config["validation"]
    check_num_episodes("config.validation.episodes", part["episodes"], part["tasks"])
    part = config["evaluation"]
    check_num_episodes("config.evaluation.episodes", part["episodes"], part["tasks"])
    for name, protocol in part["protocols"].items():
        check_protocol(f"config.evaluation.protocols.{name}", protocol, part["tasks"], model, tasks["test"], "test")


def _check_fields(config):
    for name in _COUNTS:
        value = config
        for part in name.split("."):
            value = value[part]
        check_int(f"config.{name}", value, 1)
    protocols = config["evaluation"]["protocols"]
    if not protocols:
        raise ValueError("`config.evaluation.protocols` must name a protocol, or nothing is evaluated. Received: {}")
    for name, protocol in protocols.items():
        missing = [field for field in _PROTOCOL_FIELDS if field not in protocol]
        if missing:
            raise ValueError(
                f"`config.evaluation.protocols.{name}` must have {', '.join(_PROTOCOL_FIELDS)}. "
                f"Received: one without {', '.join(missing)}"
            )


def check_input_shape(model, tasks, config):
    """Raises ValueError where the backbone takes inputs of another shape than the data set gives."""
    shapes = model.input_shape, tuple(tasks.input_shape)
    fits = len(shapes[0]) == len(shapes[1]) and all(want in (None, got) for want, got in zip(*shapes))
    if not fits:
        raise ValueError(
            f"`config.model.backbone_options.input_shape` must be the shape of the inputs of {config['dataset']['name']} "
            f"with `config.dataset.options`, {shapes[1]}. Received: {shapes[0]}"
        )


def check_num_episodes(name, num_episodes, num_tasks):
    """Raises ValueError unless the episodes fill whole batches of tasks."""
    if num_episodes % num_tasks:
        raise ValueError(f"`{name}` must be a multiple of the {num_tasks} tasks of a batch. Received: {num_episodes}")


def check_protocol(name, protocol, num_tasks, model, tasks, subset):
    """Raises ValueError where a protocol asks for what the model cannot answer, or the tasks cannot give.

    Args:
        name: of the protocol, for the message.
        protocol: way, shot, query; `within_groups` and `overrides` where it has them.
        num_tasks: tasks of a batch.
        model: the model; `overrides` are tried on a copy.
        tasks: the tasks of `subset`.
        subset: its name, for the message.
    """
    try:
        if protocol.get("overrides"):
            serialized = keras.saving.serialize_keras_object(model)
            model = loader.build_model(serialized, **protocol["overrides"])
            loader.check_shapes_kept(serialized, protocol["overrides"], model)
        _check_way(builder.as_count(protocol["way"]), model)
    except ValueError as error:
        raise ValueError(f"`{name}` does not fit the model: {error}") from error
    try:
        tasks.check_episodes(num_tasks=num_tasks, **builder.episode_options(protocol))
    except ValueError as error:
        raise ValueError(f"The subset {subset!r} cannot give the episodes of `{name}`: {error}") from error


def _check_way(way, model):
    method = type(model).__name__
    if (way is None) != (model.target_size is not None):
        expected = "a number of classes" if way is None else "None, since it is a regression model"
        raise ValueError(f"`way` of {method} must be {expected}. Received: way={way}")
    lowest, highest = way if isinstance(way, tuple) else (way, way)
    if model.way is not None and highest > model.way:
        raise ValueError(f"`way` must be at most {model.way}, the way of this {method}. Received: way={way}")
    if model.transductive and lowest != highest:
        raise ValueError(
            f"`way` must be one number: this {method} normalizes the queries of a task together, and padding would change "
            f"its answers. Received: way={way}"
        )
