"""Every config builds its model and data, takes a training step and names what its docstring must."""

import ast
import dataclasses
import importlib
import inspect
import pathlib
import shlex
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from publishing.methods_table import config_path
from trainers import base_classifier, builder, loop, protocols
from zoo.datasets.sampler import ImageClasses
from zoo.presets import loader

CONFIGS = sorted(path.stem for path in pathlib.Path("configs").glob("*.py") if path.stem not in ("__init__", "common"))


def stand_in(dataset, subset):
    """Random images of the config's size where its data may be missing; the sampler and all else is real."""
    if dataset["name"] == "sinusoid":
        return zoo.datasets.load("sinusoid", subset)
    options = {"image_size": 84, "channels": 3} if dataset["name"] == "tfds" else dataset["options"]
    height, channels = options["image_size"], options.get("channels", 1)
    images = np.random.default_rng(0).integers(0, 256, (60 * 20, height, height, channels), dtype=np.uint8)
    names = [str(number) for number in range(60)]
    classes = ImageClasses.from_labels(images, np.repeat(np.arange(60), 20), names, groups=["letters"] * 60)
    options = dataset["train_options"] if subset == "train" else {}
    return classes.with_distortions() if options.get("distortions") else classes


def cheap_first():
    """The configs. `make test-all` alone has most of those of large pictures: they differ by counts from those of letters, whose
    methods take a step in both."""
    quick = ("prototypical_network_mini_imagenet_5way_1shot", "pretrain_mini_imagenet_32")

    def is_slow(name):
        return name.endswith("_image_folder") or ("mini_imagenet" in name and name not in quick)

    return [pytest.param(name, marks=(pytest.mark.slow,) if is_slow(name) else ()) for name in CONFIGS]


@pytest.mark.parametrize("name", cheap_first())
def test_config_takes_a_step(name, monkeypatch):
    monkeypatch.setattr(builder, "build_tasks", stand_in)
    config = builder.to_dict(importlib.import_module(f"configs.{name}").get_config())
    if config["model"]["backbone_options"].get("weights"):
        config["model"]["backbone_options"]["weights"] = None  # nothing is downloaded
    if "batch" in config["train"]:
        config["train"]["batch"] = 2
        trainer = base_classifier.Pretrainer(config, tf.distribute.get_strategy())
    else:
        config["train"]["tasks"] = 1  # all else is the config's, but for queries of large pictures
        config["train"]["query"] = 1 if config["dataset"]["name"] == "tfds" else config["train"]["query"]
        trainer = loop.Trainer(config, tf.distribute.get_strategy())
    before = [variable.numpy() for variable in trainer.model.trainable_variables]
    logs = trainer.train_until(1)
    assert np.isfinite(logs["loss"]) and logs["step"] == 1
    assert all((variable.numpy() != value).any() for variable, value in zip(trainer.model.trainable_variables, before))


@pytest.mark.parametrize("name", CONFIGS)
def test_docstring_names_paper_cost_command_and_number(name):
    docstring = importlib.import_module(f"configs.{name}").__doc__
    binary = "pretrain" if "batch" in importlib.import_module(f"configs.{name}").get_config().train else "train"
    for part in ("Paper:", "Cost:", f"python -m trainers.{binary} --config=configs/{name}.py", "To reach:"):
        assert part in docstring, part


@pytest.mark.parametrize("name", CONFIGS)
def test_protocols_can_be_drawn_and_evaluated(name):
    config = builder.to_dict(importlib.import_module(f"configs.{name}").get_config())
    model_options = {name for cls in builder.method_class(config).__mro__ for name in inspect.signature(cls).parameters}
    assert config["evaluation"]["episodes"] % config["evaluation"]["tasks"] == 0
    for protocol in config["evaluation"]["protocols"].values():
        assert set(protocol) - {"within_groups"} == {"way", "shot", "query", "overrides"}
        assert set(protocol["overrides"]) <= set(model_options)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name.endswith("_image_folder")])
def test_configs_of_folders_have_every_option_with_its_default(name):
    """A flag sets a field that is there, and nothing else. What `metazoa show` deals out is what these train on."""
    dataset = importlib.import_module(f"configs.{name}").get_config().dataset.to_dict()
    parameters = inspect.signature(zoo.datasets.image_folder.load).parameters
    known = {option: parameter.default for option, parameter in parameters.items()}
    assert set(dataset["options"]) == set(known) - {"subset", "distortions", "augmentation"}
    of_config = ("root", "image_size", "channels")
    for option, value in dataset["options"].items():
        assert value == known[option] or option in of_config, option
    augmentation = zoo.datasets.augmentation.Augmentation.from_options(dataset["train_options"]["augmentation"])
    assert dataclasses.asdict(augmentation) == {"crop_padding": 8, "flip": True, "color_jitter": 0.0}
    assert set(dataset["train_options"]["augmentation"]) == set(dataclasses.asdict(augmentation))
    assert set(dataset["options"]) | set(dataset["train_options"]) == set(known) - {"subset"}


@pytest.mark.parametrize("name", [name for name in CONFIGS if "mini_imagenet" in name])
def test_configs_of_tfds_take_every_option_and_leave_its_default(name):
    config = importlib.import_module(f"configs.{name}").get_config()
    assert set(config.dataset.options) == set(inspect.signature(zoo.datasets.tfds_images.load).parameters) - {
        "subset",
        "augmentation",
    }
    assert builder.to_dict(config)["dataset"]["options"] == {"name": "mini_imagenet"}
    of_run = {"augmentation": {"crop_padding": 8, "flip": True}}
    assert builder.to_dict(config)["dataset"]["train_options"] == of_run
    config.lock()
    config.dataset.train_options.augmentation.color_jitter = 0.4  # as a flag does it, where the field is there
    of_run["augmentation"]["color_jitter"] = 0.4
    assert builder.to_dict(config)["dataset"]["train_options"] == of_run


def test_every_method_whose_paper_has_mini_imagenet_has_a_config():
    configs = [importlib.import_module(f"configs.{name}").get_config() for name in CONFIGS if "mini_imagenet" in name]
    of_omniglot_alone = {"SiameseNetwork", "MANN", "LSTMBaseline"}
    assert set(zoo.METHODS) - {config.model.method for config in configs} == of_omniglot_alone


def test_a_protocol_within_groups_is_drawn_so_and_recorded():
    """A task of two classes of one group: the network of one pixel sees the group alone, and can only guess."""
    images = np.repeat(np.repeat([0, 85, 170, 255], 2), 6).astype(np.uint8).reshape(48, 1, 1, 1)
    tasks = ImageClasses.from_labels(images, np.repeat(np.arange(8), 6), list("abcdefgh"), list("wwxxyyzz"))
    inputs = keras.Input((1, 1, 1))
    model = zoo.PrototypicalNetwork(keras.Model(inputs, keras.layers.Flatten()(inputs)))
    protocol = {"way": 2, "shot": 1, "query": 2, "overrides": {}}
    results = [
        protocols.evaluate_model(model, tasks, {**protocol, **extra}, 60, 20, "test", 0)
        for extra in ({}, {"within_groups": False}, {"within_groups": True})
    ]
    assert results[0] == {name: value for name, value in results[1].items() if name != "within_groups"}
    assert results[1]["within_groups"] is False and results[2]["within_groups"] is True
    assert results[0]["mean"] > 0.8 and results[2]["mean"] == 0.5


DECIDING = ("seed", "init_from", "dataset", "train", "model", "outer", "validation")  # what decides a run
CARDS = sorted([*pathlib.Path("zoo/presets").glob("*/model.json"), *pathlib.Path("docs/cards").glob("*/model.json")])


def fields(value, name=""):
    """(place, value) of all fields of a config that have one."""
    if isinstance(value, dict) and value:
        for key in sorted(value):
            yield from fields(value[key], f"{name}.{key}" if name else key)
    elif value not in (None, {}):
        yield name, value


def as_flag(text):
    """The value that `--config.field=text` gives."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.parent.name)
def test_the_command_of_a_card_repeats_its_run(path):
    """Its config file and the flags of its commands give what the run was made with."""
    metadata = loader.preset_metadata(path.parent)
    commands = [metadata["command"], *(part["command"] for part in metadata.get("continued", []))]
    words = [word.partition("=") for command in commands for word in shlex.split(command)]
    flags = {flag.removeprefix("--config."): as_flag(text) for flag, _, text in words if flag.startswith("--config.")}
    config = importlib.import_module(f"configs.{config_path(metadata['command']).stem}").get_config()
    now, there = (
        dict(fields({part: of_run.get(part) for part in DECIDING}))
        for of_run in (builder.to_dict(config), metadata["config"])
    )
    now |= flags
    precisions = {text for flag, _, text in words if flag == "--precision"}
    assert precisions == ({metadata["config"]["precision"]} if "precision" in metadata["config"] else set())
    changes = {name: (there.get(name), now.get(name)) for name in {*there, *now} if there.get(name) != now.get(name)}
    assert not changes


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
