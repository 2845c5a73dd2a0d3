"""The objects that a config names."""

import functools
import importlib
import json
import sys
import types

import keras
import numpy as np
import pytest

import zoo
from configs import common
from trainers import builder
from trainers.workdir import Workdir


def outer(**options):
    return {**builder.to_dict(common.get_config())["outer"], **options}


def test_a_backbone_without_an_input_shape_has_that_of_the_data():
    config = builder.to_dict(importlib.import_module("configs.prototypical_network_conv4_image_folder").get_config())
    tasks = types.SimpleNamespace(input_shape=(48, 48, 3))
    shaped = builder.with_input_shape(config, tasks)
    assert builder.build_model(shaped).input_shape == (48, 48, 3)
    assert builder.with_input_shape(shaped, types.SimpleNamespace(input_shape=(32, 32, 3))) is shaped
    preset = zoo.from_preset(config["init_from"]).backbone
    assert [weight.shape for weight in builder.build_model(shaped).backbone.weights] == [
        w.shape for w in preset.weights
    ]


def test_options_of_the_optimizer_reach_its_steps():
    """SGD with rate 0.1, momentum 0.9 and weight decay 0.5 at weight 1, gradient 1, twice.

    A step decays first: w - 0.1 * 0.5 * w; then v = 0.9 v - 0.1 g and w + v. 1 -> 0.95 - 0.1 = 0.85 -> 0.8075 - 0.19.
    """
    options = {"momentum": 0.9, "weight_decay": 0.5}
    optimizer = builder.build_optimizer(outer(optimizer="sgd", learning_rate=0.1, optimizer_options=options))
    weight = keras.Variable(1.0)
    optimizer.build([weight])
    for expected in (0.85, 0.6175):
        optimizer.apply([np.float32(1.0)], [weight])
        np.testing.assert_allclose(weight, expected, rtol=1e-6)


def test_options_stand_beside_schedule_and_clipping():
    options = {"beta_1": 0.5, "epsilon": 1e-8}
    fields = outer(optimizer="Adam", schedule="linear", num_steps=10, global_clipnorm=0.2, optimizer_options=options)
    optimizer = builder.build_optimizer(fields)
    assert (optimizer.beta_1, optimizer.epsilon, optimizer.global_clipnorm) == (0.5, 1e-8, 0.2)
    optimizer.iterations.assign(5)
    np.testing.assert_allclose(optimizer.learning_rate, 0.5e-3, rtol=1e-6)
    assert (
        builder.build_optimizer(outer(optimizer="adamw", optimizer_options={"weight_decay": 0.1})).weight_decay == 0.1
    )


@pytest.mark.parametrize(
    "fields, message",
    [
        (
            {"optimizer": "adma"},
            r"`config.outer.optimizer` must be one of \['adadelta'.*'adam'.*'sgd'\]. Received: 'adma'",
        ),
        ({"optimizer_options": {"beta1": 0.5}}, r"of Adam must be among .*'beta_1'.* Received: 'beta1'"),
        (
            {"optimizer_options": {"use_ema": True}},
            r"`ema_overwrite_frequency` beside it: .* Received: {'use_ema': True}",
        ),
        ({"optimizer_options": {"learning_rate": 0.5}}, r"of Adam must be among .* Received: 'learning_rate'"),
        ({"optimizer": "sgd", "optimizer_options": {"beta_1": 0.5}}, r"of SGD must be among .* Received: 'beta_1'"),
        ({"global_clipnorm": 0.0}, "`config.outer.global_clipnorm` must be a number above 0. Received: .*=0.0"),
    ],
)
def test_unknown_names_are_refused_in_one_line(fields, message):
    with pytest.raises(ValueError, match=message) as error:
        builder.build_optimizer(outer(**fields))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"root": "photos"}, {"root": "/here/photos"}),
        ({"root": ""}, {"root": ""}),
        (
            {"name": "cifar100", "data_dir": "~/tfds", "classes": "cifar_fs"},
            {"name": "cifar100", "data_dir": "/home/me/tfds", "classes": "cifar_fs"},
        ),
        ({"classes": "lists/own.JSON", "data_dir": None}, {"classes": "/here/lists/own.JSON"}),
        ({"classes": [0.6, 0.2, 0.2]}, {"classes": [0.6, 0.2, 0.2]}),
    ],
)
def test_a_run_keeps_whole_paths_of_its_data(options, expected, monkeypatch):
    """The run is evaluated from another folder than it was trained from."""
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr("os.getcwd", lambda: "/here")
    config = common.get_config()
    config.dataset.options = options
    assert builder.to_dict(config)["dataset"]["options"] == expected


def test_a_run_from_before_the_options_goes_on_without_them(tmp_path):
    config = builder.to_dict(common.get_config())
    before = {**config, "outer": {key: value for key, value in config["outer"].items() if key != "optimizer_options"}}
    (tmp_path / "config.json").write_text(json.dumps(before))
    Workdir(tmp_path, config)
    config["outer"]["optimizer_options"] = {"beta_1": 0.5}
    with pytest.raises(ValueError, match="outer.optimizer_options.beta_1: None there, 0.5 now"):
        Workdir(tmp_path, config)


@pytest.mark.parametrize(
    "place, name, recorded, other",
    [
        ("model.backbone_options", "input_shape", [96, 96, 3], None),  # what the data has, which the other config tells
        ("model.options", "transform", "cl2n", "none"),
        ("model.backbone_options", "pooling", "avg", "max"),
        ("dataset.options", "split", [0.5, 0.25, 0.25], [0.6, 0.2, 0.2]),
    ],
)
def test_a_run_goes_on_where_its_config_has_come_to_leave_out_what_it_is_anyway(place, name, recorded, other, tmp_path):
    config = builder.to_dict(importlib.import_module("configs.simple_shot_image_folder").get_config())

    def with_option(value):
        changed = json.loads(json.dumps(config))
        options = functools.reduce(dict.__getitem__, place.split("."), changed)
        options.pop(name, None)
        options.update({} if value is None else {name: value})
        return changed

    for there, now in ((recorded, None), (None, recorded), (recorded, recorded)):
        (tmp_path / "config.json").write_text(json.dumps(with_option(there)))
        Workdir(tmp_path, with_option(now))
    if other is not None:
        with pytest.raises(ValueError, match=f"another config .{place}.{name}: "):
            Workdir(tmp_path, with_option(other))


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
