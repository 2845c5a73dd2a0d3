import os
import pathlib
import shutil
import sys

import h5py
import numpy as np
import pytest

import zoo
from commands import sources
from publishing import card, markdown, methods_table, mini_imagenet_table, preset_files, results
from publishing.preset_files import store_as_float16
from zoo.presets import loader, writer

RESULT = {"protocol": "5way_1shot", "metric": "accuracy", "mean": 0.9, "ci95": 0.01, "way": 5, "shot": 1, "query": 1}
METADATA = {
    "command": "python -m trainers.train --config=configs/maml_omniglot_5way_1shot.py --workdir=runs/maml",
    "config": {
        "seed": 0,
        "dataset": {"name": "glyphs", "options": {}, "train_options": {}},
        "train": {"way": 5, "shot": 1, "query": 1, "tasks": 2},
        "model": {"method": "PrototypicalNetwork", "backbone": "conv4"},
    },
    "training": {"steps": 7, "kept_step": 5, "seconds": 90, "machine": "2 CPU cores", "versions": "none"},
    "results": [{**RESULT, "episodes": 10, "subset": "test"}],
}


@pytest.fixture
def workdir(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    model = zoo.PrototypicalNetwork(zoo.backbones.conv4(filters=4))
    writer.save_preset_config(model, folder, METADATA)
    writer.save_preset_weights(model, folder)
    return folder


def test_a_published_run_is_a_preset_of_its_weights(workdir, tmp_path):
    preset_files.publish(workdir, tmp_path / "preset")
    for found, weights in zip(
        zoo.from_preset(tmp_path / "preset").get_weights(), zoo.from_preset(workdir).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(found, weights)
    assert "90.00 ± 1.00 %" in (tmp_path / "preset" / loader.CARD_FILE).read_text()


def test_a_card_tells_the_terms_of_the_images_and_the_weights_a_run_started_from():
    text = card.model_card("name", METADATA, 1)
    assert "Terms" not in text and "Started" not in text
    config = {
        **METADATA["config"],
        "dataset": {"name": "tfds", "options": {"name": "mini_imagenet"}, "train_options": {}},
    }
    config["model"] = {**config["model"], "backbone_weights": "runs/body"}
    text = card.model_card("name", {**METADATA, "config": config}, 1)
    assert "- Terms: images under the terms of ImageNet: for research and education that are not commercial.\n" in text
    assert "- Started from the weights of `runs/body`.\n" in text


@pytest.mark.parametrize("option", ["init_from", "backbone_weights", "weights"])
def test_a_card_tells_the_terms_of_what_the_weights_had_seen_before(option):
    config, preset = METADATA["config"], "simple_shot_conv4_mini_imagenet_5way_1shot"
    model = {**config["model"], "backbone_weights": preset if option == "backbone_weights" else None}
    model["backbone_options"] = {"weights": "imagenet"} if option == "weights" else {}
    config = {**config, "model": model, "init_from": preset if option == "init_from" else None}
    text = card.model_card("name", {**METADATA, "config": config}, 1)
    assert "- Terms: started from weights of images under the terms of ImageNet: for research and edu" in text


@pytest.mark.parametrize(
    "machine, text",
    [
        ("2 CPU cores (x86_64), no GPU", "1.5 min"),
        ("16 CPU cores (x86_64), no GPU", "1.5 min (16 cores)"),
        ("16 CPU cores (x86_64), NVIDIA H100", "1.5 min (GPU)"),
        ("2 CPU cores (x86_64), no GPU; then 8 CPU cores (x86_64), no GPU", "1.5 min (8 cores)"),
    ],
)
def test_training_elsewhere_than_on_two_cores_is_marked(machine, text):
    assert results.training_time({"training": {"seconds": 90, "machine": machine}}) == text


def test_a_card_stands_in_the_tables_without_weights(workdir, tmp_path):
    folder = tmp_path / "card"
    preset_files.publish(workdir, folder, with_weights=False)
    assert sorted(path.name for path in folder.iterdir()) == [loader.CARD_FILE, loader.CONFIG_FILE]
    assert "weights not shipped" in (folder / loader.CARD_FILE).read_text()
    metadata = {folder: loader.preset_metadata(folder)}
    for table in (
        methods_table.details_table(metadata, "docs/results.md"),
        results.presets_table(metadata, "docs/results.md"),
    ):
        (row,) = [line for line in table.splitlines() if "[card](" in line]
        assert f"[card]({os.path.relpath(folder / loader.CARD_FILE, 'docs')}) (card only)" in row
    assert "90.00 ± 1.00 %" in row
    assert "card" not in methods_table.methods_table(metadata, "README.md")  # nothing to load


@pytest.mark.parametrize(
    "config, cell",
    [
        ("configs/maml_omniglot_5way_1shot.py", "[maml_omniglot_5way_1shot](configs/maml_omniglot_5way_1shot.py)"),
        ("'/elsewhere/my config.py'", "`my config.py`"),
    ],
)
def test_the_table_links_a_config_that_is_there(config, cell, workdir):
    metadata = loader.preset_metadata(workdir)
    metadata["command"] = f"python -m trainers.train --config={config} --workdir=runs/one --config.outer.num_steps=3"
    table = methods_table.details_table({workdir: metadata}, "README.md")
    (row,) = [line for line in table.splitlines() if f"[{workdir.name}](" in line]
    assert f"| {cell} |" in row


def test_a_run_without_results_is_refused(workdir, tmp_path):
    writer.save_preset_config(zoo.from_preset(workdir), workdir, {**METADATA, "results": []})
    with pytest.raises(ValueError, match="must have been evaluated"):
        preset_files.publish(workdir, tmp_path / "preset")
    assert not (tmp_path / "preset").exists()


def test_weights_too_large_leave_the_older_preset(workdir, tmp_path, monkeypatch):
    preset_files.publish(workdir, tmp_path / "preset")
    before = {path.name: path.read_bytes() for path in (tmp_path / "preset").iterdir()}
    monkeypatch.setattr(preset_files, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="must be below 1,000 bytes. Received: .* --card publishes without them"):
        preset_files.publish(workdir, tmp_path / "preset")
    assert {path.name: path.read_bytes() for path in (tmp_path / "preset").iterdir()} == before


@pytest.mark.parametrize(
    "modes, shown",
    [
        (["running", "running"], "90.00 ± 1.00 %, 5-way 1-shot |"),
        (["transductive", "support+one"], "80.00 ± 1.00 %, 5-way 1-shot alone |"),
        (["transductive", "transductive"], "90.00 ± 1.00 %, transductive, 5-way 1-shot |"),
    ],
)
def test_the_table_leads_with_queries_asked_alone(modes, shown, tmp_path):
    first, second = ({**RESULT, "batch_norm_mode": mode} for mode in modes)
    second |= {"mean": 0.8, "protocol": "5way_1shot_alone"}
    metadata = {tmp_path / "preset": {**METADATA, "results": [first, second]}}
    (row,) = [line for line in methods_table.methods_table(metadata, "README.md").splitlines() if "`preset`" in line]
    assert row.endswith(shown)


@pytest.mark.parametrize(
    "config, expected",
    [
        ("anil_mini_imagenet_5way_5shot", {5: "61.5 ± 0.5"}),
        ("reptile_mini_imagenet", {1: "47.07 ± 0.26", 5: "62.74 ± 0.37"}),
        ("pretrain_mini_imagenet_32", {}),
    ],
)
def test_published_results_are_those_that_a_config_names(config, expected):
    assert mini_imagenet_table.published_results(pathlib.Path("configs", f"{config}.py")) == expected


def test_the_table_of_mini_imagenet_has_a_row_for_each_method_with_a_config():
    result = {"protocol": "5way_1shot", "metric": "accuracy", "shot": 1, "mean": 0.4, "ci95": 0.01}
    together = {**result, "mean": 0.5, "batch_norm_mode": "transductive"}
    metadata = {
        "command": "python -m trainers.train --config=configs/relation_network_mini_imagenet_5way_1shot.py --workdir=runs/a",
        "results": [{**result, "batch_norm_mode": "running"}, together],
        "training": {"seconds": 120, "machine": "2 CPU cores (x86_64), no GPU"},
        "weights": results.NOT_SHIPPED,
    }
    lines = mini_imagenet_table.mini_imagenet_table(
        {pathlib.Path("docs/cards/a"): metadata}, "docs/results.md"
    ).splitlines()
    value = "[40.00 ± 1.00](cards/a/card.md) (together 50.00 ± 1.00, card only)"
    assert f"| `RelationNetwork` | {value} | 50.44 ± 0.82 | no run | 65.32 ± 0.70 | 2 min |" in lines
    assert "| `MetaNetwork` | no run | 49.21 ± 0.96 | no run |  |  |" in lines
    assert not any("MANN" in line for line in lines), "a method without such a config"


def test_links_are_written_as_their_document_needs_them():
    assert markdown.link("a", "zoo/a.py", "README.md") == "[a](zoo/a.py)"
    assert markdown.link("a", "zoo/a.py", "docs/results.md") == "[a](../zoo/a.py)"


def test_rows_are_filled_up_to_the_titles():
    assert markdown.table(["a", "b"], [[1], [2, 3]]).splitlines() == ["| a | b |", "|---|---|", "| 1 |  |", "| 2 | 3 |"]
    with pytest.raises(ValueError, match="at most 1 cells"):
        markdown.table(["a"], [[1, 2]])


def test_publishing_outside_of_the_repository_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="must be the top of the repository. Received: .*, without README.md"):
        sources.check_repository()


def test_weights_of_half_the_size_load_as_float32(tmp_path):
    model = zoo.PrototypicalNetwork(zoo.backbones.conv4())
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    before = path.stat().st_size
    assert store_as_float16(path) == path.stat().st_size < 0.55 * before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    again = zoo.PrototypicalNetwork(zoo.backbones.conv4())
    again.load_weights(path)
    for found, weights in zip(again.get_weights(), model.get_weights(), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, weights.astype(np.float16).astype(np.float32))


def test_weights_stay_as_they_are_where_the_disk_is_full(tmp_path, monkeypatch):
    path, usage = tmp_path / "some.h5", shutil.disk_usage(tmp_path)
    with h5py.File(path, "w") as file:
        file["kernel"] = np.ones(9, np.float32)
    content = path.read_bytes()
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=10))
    with pytest.raises(OSError, match="No space left on device: .* bytes are needed and 10 free"):
        store_as_float16(path)
    assert path.read_bytes() == content


def test_whole_numbers_keep_their_type(tmp_path):
    path = tmp_path / "some.h5"
    with h5py.File(path, "w") as file:
        file["seeds/state"] = np.array([2**31 + 1, 7], np.uint32)
        file["seeds"].attrs["name"] = "seeds"
    store_as_float16(path)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["seeds/state"], np.array([2**31 + 1, 7], np.uint32))
        assert file["seeds"].attrs["name"] == "seeds"


@pytest.mark.parametrize(
    "path",
    sorted(pathlib.Path().glob("zoo/presets/*/*.json")) + sorted(pathlib.Path().glob("docs/*/**/*.json")),
    ids=str,
)
def test_published_data_name_results(path):
    """Data written before results were called so are read by nothing."""
    text = path.read_text(encoding="utf-8")
    assert "figure" not in text
    assert path.name != "model.json" or '"results": ' in text


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
