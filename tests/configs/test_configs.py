"""Every config builds its model and data, takes a training step and names what its docstring must."""

import importlib
import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf

import zoo
from trainers import builder, loop
from zoo.datasets.sampler import ImageClasses

CONFIGS = sorted(path.stem for path in pathlib.Path("configs").glob("*.py") if path.stem not in ("__init__", "common"))


def stand_in(dataset, subset):
    """Random images of the config's size where its data may be missing; the sampler and all else is real."""
    if dataset["name"] == "sinusoid":
        return zoo.datasets.load("sinusoid", subset)
    size = dataset["options"]["image_size"]
    images = np.random.default_rng(0).integers(0, 256, (60 * 20, size, size, 1), dtype=np.uint8)
    return ImageClasses.from_labels(images, np.repeat(np.arange(60), 20), [str(number) for number in range(60)])


@pytest.mark.parametrize("name", CONFIGS)
def test_config_takes_a_step(name, monkeypatch):
    monkeypatch.setattr(builder, "build_tasks", stand_in)
    config = builder.to_dict(importlib.import_module(f"configs.{name}").get_config())
    trainer = loop.Trainer(config, tf.distribute.get_strategy())
    before = [variable.numpy() for variable in trainer.model.trainable_variables]
    logs = trainer.train_until(1)
    assert np.isfinite(logs["loss"]) and logs["step"] == 1
    assert all((variable.numpy() != value).any() for variable, value in zip(trainer.model.trainable_variables, before))


@pytest.mark.parametrize("name", CONFIGS)
def test_docstring_names_paper_cost_command_and_number(name):
    docstring = importlib.import_module(f"configs.{name}").__doc__
    for part in ("Paper:", "Cost:", f"python -m trainers.train --config=configs/{name}.py", "To reach:"):
        assert part in docstring, part


@pytest.mark.parametrize("name", CONFIGS)
def test_protocols_can_be_drawn_and_evaluated(name):
    config = builder.to_dict(importlib.import_module(f"configs.{name}").get_config())
    model_options = builder.build_model(config).get_config()
    assert config["evaluation"]["episodes"] % config["evaluation"]["tasks"] == 0
    for protocol in config["evaluation"]["protocols"].values():
        assert set(protocol) == {"way", "shot", "query", "overrides"}
        assert set(protocol["overrides"]) <= set(model_options)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
