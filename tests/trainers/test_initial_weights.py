"""Training that starts from weights that are there."""

import sys

import keras
import numpy as np
import pytest

import zoo
from configs import prototypical_network_glyphs
from tests.trainers.small_runs import make_config, small_classes, train
from trainers import builder, loop
from trainers.initial_weights import load_initial_weights
from trainers.workdir import read_metrics
from zoo.presets.writer import save_preset_config, save_preset_weights

__all__ = ["small_classes"]  # a fixture that every test here uses


def conv4(filters=4, statistics="running", **options):
    backbone = zoo.backbones.conv4((16, 16, 1), filters, statistics, **options)
    rng = np.random.default_rng(0)
    for variable in backbone.weights:
        variable.assign(rng.random(variable.shape))
    return backbone


def start(model, **fields):
    backbone_weights = fields.pop("backbone_weights", None)
    return load_initial_weights(model, {"model": {"backbone_weights": str(backbone_weights or "")}, **fields})


def save_run(model, folder):
    folder.mkdir(exist_ok=True)
    save_preset_config(model, folder, {})
    save_preset_weights(model, folder)
    return folder


def assert_same(found, expected):
    for value, wanted in zip(found.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(value, wanted)


@pytest.mark.parametrize("source", ["file", "folder", "run", "weights of a run"])
def test_a_backbone_starts_from_a_file_a_folder_or_a_run(source, tmp_path, monkeypatch):
    saved = conv4()
    if "run" in source:
        save_run(zoo.MatchingNetwork(saved), tmp_path)
        path = tmp_path / "model.weights.h5" if "weights" in source else tmp_path
    else:
        saved.save_weights(tmp_path / "backbone.weights.h5")
        path = tmp_path / "backbone.weights.h5" if source == "file" else tmp_path
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    for named in (path, f"~/{path.relative_to(tmp_path.parent)}"):
        model = zoo.PrototypicalNetwork(zoo.backbones.conv4((16, 16, 1), 4))
        assert start(model, backbone_weights=named) == f"the backbone's weights are those of {named}"
        assert_same(model.backbone, saved)


def test_a_source_that_saw_colours_through_other_layers_is_said(tmp_path):
    """Weights fit: standardizing has none. A run of before is such a source."""
    build = lambda **options: zoo.PrototypicalNetwork(zoo.backbones.conv4((16, 16, 3), 2, **options))  # noqa: E731
    save_run(build(standardize=False), tmp_path)
    unlike = "; its backbone has other layers: Standardize here and not there"
    assert start(build(), backbone_weights=tmp_path) == f"the backbone's weights are those of {tmp_path}{unlike}"
    assert start(build(), init_from=str(tmp_path)) == f"all weights are those of {tmp_path}{unlike}"
    assert start(build(standardize=False), init_from=str(tmp_path)) == f"all weights are those of {tmp_path}"


def test_averages_of_batch_norm_are_left_out_where_the_method_has_none(tmp_path):
    """Pretraining has running statistics, MAML those of the batch."""
    saved = conv4()
    saved.save_weights(tmp_path / "backbone.weights.h5")
    model = zoo.MAML(zoo.backbones.conv4((16, 16, 1), 4, statistics="batch"), way=3)
    start(model, backbone_weights=tmp_path)
    wanted = [weight for weight in saved.weights if "moving" not in weight.path]
    for found, expected in zip(model.backbone.weights, wanted, strict=True):
        np.testing.assert_array_equal(found, expected, err_msg=found.path)
    model.backbone.save_weights(tmp_path / "batch.weights.h5")
    with pytest.raises(
        ValueError, match=r"Received: weights of shapes \(4,\), \(4,\) for layer block_1/norm_1, which has"
    ):
        start(zoo.PrototypicalNetwork(conv4()), backbone_weights=tmp_path / "batch.weights.h5")


def test_a_beta_is_no_gamma(tmp_path):
    """Both are one vector: a layer with one of them does not take a file with the other two or both."""
    conv4(scale=True, center=True).save_weights(tmp_path / "backbone.weights.h5")
    model = zoo.MAML(conv4(statistics="batch", scale=False), way=3)
    with pytest.raises(ValueError, match="for layer block_1/norm_1, which has weights of shapes"):
        start(model, backbone_weights=tmp_path)


def test_what_does_not_fit_is_named_in_one_line(tmp_path):
    model = zoo.PrototypicalNetwork(conv4())
    before = model.get_weights()
    conv4(filters=8).save_weights(tmp_path / "wide.weights.h5")
    zoo.backbones.strided_conv4((16, 16, 1), 4).save_weights(tmp_path / "strided.weights.h5")
    (tmp_path / "broken.weights.h5").write_text("not HDF5")
    for source, message in (
        (
            "wide.weights.h5",
            r"shapes \(3, 3, 1, 8\) for layer block_1/conv_1, which has weights of shapes \(3, 3, 1, 4\)",
        ),
        ("strided.weights.h5", "for layer block_1/norm_1"),
        ("broken.weights.h5", "must be a .weights.h5 file that Keras wrote"),
        ("none.weights.h5", "must name a file that is there. Received: '.*none.weights.h5'"),
        ("none", "Expected the name of a preset"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            start(model, backbone_weights=tmp_path / source)
        assert "\n" not in str(error.value) and "config.model.backbone_weights" in str(error.value)
    with pytest.raises(ValueError, match="Give either `config.init_from` or"):
        start(model, backbone_weights=tmp_path, init_from="some")
    for value, wanted in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, wanted)


def test_a_model_starts_from_a_run_of_its_method(tmp_path):
    saved = zoo.MAML(conv4(statistics="batch"), way=3)
    saved.head_layer().bias.assign([1.0, 2.0, 3.0])
    folder = save_run(saved, tmp_path)
    same = zoo.MAML(zoo.backbones.conv4((16, 16, 1), 4, statistics="batch"), way=3)
    assert start(same, init_from=str(folder)) == f"all weights are those of {folder}"
    assert_same(same, saved)
    wider = zoo.MAML(zoo.backbones.conv4((16, 16, 1), 4, statistics="batch"), way=5)
    line = start(wider, init_from=str(folder))
    assert line.startswith(
        f"the backbone's weights are those of {folder}, the others start anew: weights of shapes (4, 3)"
    )
    assert_same(wider.backbone, saved.backbone)
    assert not wider.head_layer().bias.numpy().any()
    other = zoo.ANIL(zoo.backbones.conv4((16, 16, 1), 4, statistics="batch"), way=3)
    assert start(other, init_from=str(folder)) == f"all weights are those of {folder} (MAML)"
    assert_same(other, saved)


@pytest.mark.parametrize("method", [zoo.MetaSGD, zoo.Reptile])
def test_what_a_method_alone_has_starts_anew(tmp_path, method):
    """Rates and moments; the head is taken."""
    saved = zoo.MAML(conv4(statistics="batch"), way=3)
    save_run(saved, tmp_path)
    model = method(zoo.backbones.conv4((16, 16, 1), 4, statistics="batch"), way=3)
    of_its_own = [variable for variable in model.weights if variable.path.startswith(model.name + "/")]
    before = [variable.numpy() for variable in of_its_own]
    line = start(model, init_from=str(tmp_path))
    assert line == f"all weights are those of {tmp_path} (MAML), those that {method.__name__} alone has start anew"
    assert_same(model.backbone, saved.backbone)
    assert_same(model.head_layer(), saved.head_layer())
    for variable, value in zip(of_its_own, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    save_run(model, tmp_path)
    back = zoo.MAML(zoo.backbones.conv4((16, 16, 1), 4, statistics="batch"), way=3)
    assert start(back, init_from=str(tmp_path)) == f"all weights are those of {tmp_path} ({method.__name__})"
    assert_same(back, saved)


def test_a_run_starts_there_and_a_folder_is_claimed_only_then(tmp_path, capsys):
    before = save_run(zoo.PrototypicalNetwork(conv4()), tmp_path / "before")
    config = make_config(num_steps=2, learning_rate=0.0)
    config["init_from"] = str(before)
    train(config, tmp_path / "run")
    assert f"start: all weights are those of {before}" in capsys.readouterr().out
    trained = zoo.from_preset(tmp_path / "run").backbone
    for found, wanted in zip(trained.trainable_weights, conv4().trainable_weights, strict=True):
        np.testing.assert_array_equal(found, wanted)
    # What a run began from is what it is; and it goes on without the folder it began from.
    (before / "model.weights.h5").unlink()
    train({**config, "outer": {**config["outer"], "num_steps": 4}}, tmp_path / "run")
    assert read_metrics(tmp_path / "run")[-1]["step"] == 4
    with pytest.raises(ValueError, match="holds a run of another config .init_from: "):
        train({**config, "init_from": None}, tmp_path / "run")
    with pytest.raises(ValueError, match="`config.init_from` must name a preset or workdir with model.weights.h5"):
        train(config, tmp_path / "other")
    assert not (tmp_path / "other" / "config.json").exists()


def test_a_preset_is_not_trained_over(tmp_path):
    """`--config.init_from=mine --workdir=mine`: `save_preset` refuses the folder of a run likewise."""
    zoo.PrototypicalNetwork(conv4()).save_preset(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="^`--workdir` must be a new folder, .* Received: .*, which holds a preset"):
        train({**make_config(num_steps=2), "init_from": str(tmp_path)}, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def standardizing():
    """As EfficientNet begins: its first layer computes with constants that it copies from its weights."""
    levels = keras.layers.Normalization(axis=-1)
    return keras.Sequential([keras.Input((16, 16, 1)), levels, keras.layers.Flatten(), keras.layers.Dense(3)])


def test_constants_that_a_layer_copies_are_those_of_the_weights_that_a_run_starts_or_goes_on_from(
    tmp_path, monkeypatch
):
    images = np.random.default_rng(0).random((20, 16, 16, 1), np.float32)
    source = standardizing()
    source.layers[0].adapt(3 * images + 2)
    source.save_weights(tmp_path / "backbone.weights.h5")
    monkeypatch.setitem(zoo.backbones.BACKBONES, "standardizing", standardizing)
    config = make_config()
    config["model"] |= {"backbone": "standardizing", "backbone_options": {}, "backbone_weights": str(tmp_path)}
    done = []

    def save(files, trainer, manager, config):
        done.append(trainer.steps_done)
        np.testing.assert_allclose(trainer.model.backbone(images), source(images), rtol=1e-5, atol=1e-6)
        trainer._step.assign(1)
        manager.save(checkpoint_number=1)

    monkeypatch.setattr(loop, "_run_to_the_end", save)
    for _ in range(2):
        train(config, tmp_path / "run")
    assert done == [0, 1]


@pytest.mark.slow
def test_a_preset_of_omniglot_becomes_better_on_glyphs_in_200_steps(tmp_path):
    preset = "prototypical_network_conv4_omniglot_60way_1shot"
    config = builder.to_dict(prototypical_network_glyphs.get_config())
    config["init_from"] = preset
    config["outer"] |= {"num_steps": 200, "learning_rate": 5e-4}
    config["train"] = {"way": 20, "shot": 1, "query": 5, "tasks": 1}
    config["validation"] |= {"way": 20, "episodes": 50, "every": 200}
    train(config, tmp_path)
    test = zoo.datasets.load("glyphs", "test", image_size=28)
    found = {}
    for name in (preset, tmp_path):
        model = zoo.from_preset(name)
        model.compile()
        episodes = test.episodes(way=20, shot=1, query=5, num_tasks=5, seed=1)
        found[name] = model.evaluate(episodes, steps=30, verbose=0, return_dict=True)
    before, after = found.values()
    gain, noise = after["accuracy"] - before["accuracy"], before["accuracy_ci95"] + after["accuracy_ci95"]
    assert gain > noise, found


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
