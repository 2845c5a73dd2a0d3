import json
import sys

import h5py
import keras
import numpy as np
import pytest

import zoo
from tests import descriptors
from zoo.presets import loader, writer


@pytest.fixture
def folder(tmp_path):
    model = descriptors.build("maml")
    writer.save_preset_config(model, tmp_path, {"config": {"seed": 0}})
    writer.save_preset_weights(model, tmp_path)
    return tmp_path


def edited(folder, edit):
    content = json.loads((folder / "model.json").read_text())
    edit(content)
    (folder / "model.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("name", zoo.list_presets())
def test_shipped_presets_load_and_answer(name):
    model = zoo.from_preset(name)
    folder = loader.preset_folder(name)
    assert (folder / "model.weights.h5").stat().st_size < 1_000_000
    metadata = loader.preset_metadata(name)
    episodes = 600 if "mini_imagenet" in name else 1000  # as the papers have it
    assert metadata["results"] and all(result["episodes"] >= episodes for result in metadata["results"])
    card = (folder / "card.md").read_text()
    assert metadata["command"] in card and name in card
    rng = np.random.default_rng(0)
    way = model.way or 5
    support_y = np.arange(way)[None] if model.target_size is None else rng.random((1, way, 1), np.float32)
    support_x = rng.random((1, way, *model.input_shape), np.float32)
    query_x = rng.random((1, 3, *model.input_shape), np.float32)
    assert model({"support_x": support_x, "support_y": support_y, "query_x": query_x}).shape[:2] == (1, 3)


@pytest.mark.filterwarnings("error:Skipping")
def test_the_optimizer_is_not_saved(folder):
    size = (folder / "model.weights.h5").stat().st_size
    model = descriptors.build("maml")
    model.compile(optimizer="adam")
    model.train_on_batch(*descriptors.episode())
    writer.save_preset_config(model, folder, {"config": {}})
    writer.save_preset_weights(model, folder)
    assert (folder / "model.weights.h5").stat().st_size == size
    assert not zoo.from_preset(folder).compiled


def own_loss(y, outputs):
    return keras.ops.mean(keras.ops.square(y - outputs))


@pytest.mark.parametrize("nested", [False, True])
def test_how_a_backbone_was_compiled_is_no_part_of_a_model(tmp_path, nested):
    """A network that was trained before, by a loss of one's own: its copies need neither the loss nor the optimizer."""
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    network.compile("adam", own_loss)
    network.train_on_batch(np.ones((2, 4)), np.zeros((2, 3)))
    backbone = keras.Sequential([keras.Input((4,)), network, keras.layers.ReLU()]) if nested else network
    model = zoo.PrototypicalNetwork(backbone)
    model.save_preset(tmp_path / "mine")
    again = zoo.from_preset(tmp_path / "mine", way=2)
    np.testing.assert_array_equal(again.backbone(np.eye(4)), backbone(np.eye(4)))
    assert not any(getattr(layer, "compiled", False) for layer in again._flatten_layers()) and network.compiled
    with h5py.File(tmp_path / "mine" / "model.weights.h5") as file:
        names = []
        file.visit(names.append)
    assert names and not any("optimizer" in name for name in names)


def test_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    descriptors.build("prototypical_network").save_preset("~/mine")
    assert loader.preset_folder("~/mine") == tmp_path / "mine"
    assert loader.method_name("~/mine") == "PrototypicalNetwork"


def test_overrides_change_the_model_and_not_the_weights(folder):
    model, changed = zoo.from_preset(folder), zoo.from_preset(folder, num_inner_steps_test=7)
    assert (model.num_inner_steps_test, changed.num_inner_steps_test) == (2, 7)
    for one, other in zip(model.get_weights(), changed.get_weights()):
        np.testing.assert_array_equal(one, other)


def test_an_override_may_be_younger_than_the_preset(folder):
    """An argument that the method has and the preset's config does not, since it was written before there was one."""
    edited(folder, lambda content: content["model"]["config"].pop("query_statistics"))
    assert zoo.from_preset(folder, query_statistics="queries").transductive


@pytest.mark.filterwarnings("error::UserWarning")
def test_overrides_that_change_the_shape_of_a_weight_are_named(folder):
    with pytest.raises(ValueError) as raised:
        zoo.from_preset(folder, way=5, num_inner_steps_test=7)
    expected = "`way` must be 3, which the weights of this MAML were trained with. Received: way=5"
    assert str(raised.value) == expected


def test_unknown_names_and_overrides_are_named(folder):
    with pytest.raises(ValueError, match="Expected the name of a preset.* Received: 'resnet'$"):
        zoo.from_preset("resnet")
    with pytest.raises(ValueError, match=r"Overrides must be among .* Received: \['num_steps'\]"):
        zoo.from_preset(folder, num_steps=3)


def test_a_run_says_how_its_pictures_were_fitted(folder):
    """Its data set's option; what `save_preset` wrote comes first, and stretched is what nothing is said of."""
    assert zoo.from_preset(folder).image_fit == "stretch"
    edited(folder, lambda content: content["metadata"]["config"].update(dataset={"options": {"fit": "pad"}}))
    assert zoo.from_preset(folder).image_fit == "pad"
    edited(folder, lambda content: content["metadata"].update(fit="cover"))
    with pytest.raises(ValueError, match="model.json: `fit` must be one of .* Received: fit='cover'"):
        zoo.from_preset(folder)


def test_foreign_classes_are_refused(folder):
    def foreign(content):
        content["model"]["config"]["backbone"] = {"module": "os", "class_name": "system", "config": {"command": "true"}}

    with pytest.raises(ValueError, match="classes of keras and zoo only. Received: os.system"):
        zoo.from_preset(edited(folder, foreign))


def test_lambda_layers_are_refused(folder):
    def add_lambda(content):
        layer = content["model"]["config"]["backbone"]["config"]["layers"][2]
        layer["class_name"], layer["config"] = "Lambda", {"name": layer["config"]["name"], "function": "x"}
        layer["module"], layer["registered_name"] = "keras.layers", None

    with pytest.raises((ValueError, TypeError)):
        zoo.from_preset(edited(folder, add_lambda))


@pytest.mark.filterwarnings("ignore:Skipping nested container:UserWarning")  # of Keras, before it gives up
def test_weights_of_another_model_are_refused(folder):
    writer.save_preset_weights(descriptors.build("maml_without_norm"), folder)
    with pytest.raises(ValueError, match="does not hold the weights of the MAML"):
        zoo.from_preset(folder)


def test_missing_or_broken_files_are_named(folder):
    (folder / "model.weights.h5").unlink()
    with pytest.raises(ValueError, match="Expected the weights in .*model.weights.h5"):
        zoo.from_preset(folder)
    with pytest.raises(ValueError, match="must have format 1. Received: .*99"):
        zoo.from_preset(edited(folder, lambda content: content.update(format=99)))
    (folder / "model.json").write_text("{")
    with pytest.raises(ValueError, match="is not valid JSON"):
        zoo.from_preset(folder)


def nested(depth):
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "null",
        '"format"',
        '{"format": 1}',
        '{"format": 1, "model": [], "metadata": {}}',
        '{"format": 1, "model": {}, "metadata": {}}',
        '{"format": 1, "model": {"registered_name": "metazoa>MAML"}, "metadata": {}}',
        '{"format": 1, "model": {"registered_name": ["metazoa>MAML"], "config": {}}, "metadata": {}}',
        '{"format": 1, "model": {"registered_name": "metazoa>MAML", "config": []}, "metadata": {}}',
        '{"format": 1, "model": {"registered_name": "metazoa>MAML", "config": {}}, "metadata": {}}',
        '{"format": 1, "model": {"registered_name": "metazoa>Nothing", "config": {}}, "metadata": {}}',
        '{"format": 1, "model": {"registered_name": "metazoa>BatchNorm", "config": {}}, "metadata": {}}',
        '{"format": 1, "model": {"module": "keras.layers", "class_name": "Dense", "config": {"units": 1}}, "metadata": {}}',
        '{"format": 1, "metadata": {}, "model": ' + nested(100_000) + "}",
        '{"format": 1, "metadata": {}, "model": {"registered_name": "metazoa>MAML", "config": {"x": '
        + nested(500)
        + "}}}",
        '{"format": 1, "metadata": "' + "x" * (1 << 24) + '"}',
    ],
    ids=range(16),
)
def test_a_model_file_of_another_kind_is_a_value_error(folder, text):
    (folder / "model.json").write_text(text)
    with pytest.raises(ValueError, match="Received: |is not valid JSON"):
        zoo.from_preset(folder)


def test_another_root_class_is_refused(folder):
    """A layer of Keras is allowed inside of a model, and is no model to load."""
    dense = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 4}, "registered_name": None}
    with pytest.raises(ValueError, match="must be a model of a zoo method. Received: .*Dense"):
        zoo.from_preset(edited(folder, lambda content: content.update(model=dense)))


def test_a_model_larger_than_its_file_of_weights_is_refused_before_it_is_made(folder):
    def enlarge(content):
        for layer in content["model"]["config"]["backbone"]["config"]["layers"]:
            if "filters" in layer["config"]:
                layer["config"]["filters"] = 1_000_000  # 36 terabytes in the second layer

    with pytest.raises(ValueError, match="must have at most .* weights. Received: "):
        zoo.from_preset(edited(folder, enlarge))


def places(node, path=()):
    """Paths to all values in nested lists and dicts."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def test_a_malformed_config_loads_or_is_a_value_error(folder):
    """Values replaced by others, at random: no TypeError, KeyError, RecursionError or memory that runs out."""
    original, rng = json.loads((folder / "model.json").read_text()), np.random.default_rng(0)
    found = [path for path in places(original) if path[0] == "model"]
    values = [None, [], {}, "x", -1, 0, 2.5, 10**12, True, [[[]]], {"class_name": "Dense", "config": {}}, float("nan")]
    refused = 0
    for number in rng.choice(len(found), 120, replace=False):
        content = json.loads(json.dumps(original))
        *above, last = found[number]
        node = content
        for key in above:
            node = node[key]
        node[last] = values[rng.integers(len(values))]
        (folder / "model.json").write_text(json.dumps(content))
        try:
            zoo.from_preset(folder)
        except ValueError:
            refused += 1
    assert 30 < refused < 120  # names of layers, for one, may be anything


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x89HDF\r\n\x1a\n" + bytes(1000)])
def test_a_file_of_no_weights_is_a_value_error(folder, content):
    (folder / "model.weights.h5").write_bytes(content)
    with pytest.raises(ValueError):
        zoo.from_preset(folder)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
