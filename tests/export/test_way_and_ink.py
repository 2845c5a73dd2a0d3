"""What the binaries read of a preset: its ink, its way, and its weights once."""

import json
import shutil
import sys

import numpy as np
import pytest

import zoo
from export import way_and_ink
from tests.binaries import run
from tests.export import count_loads
from tests.export.image_files import write_folder
from zoo.presets import loader

PRESET = "prototypical_network_conv4_glyphs_30way_1shot"


@pytest.fixture
def run_folder(tmp_path):
    """A copy of a preset, whose model.json a test may edit: `edit(function of its metadata)` gives the folder."""
    folder = tmp_path / "run"
    shutil.copytree(loader.preset_folder(PRESET), folder)

    def edit(change):
        content = json.loads((folder / loader.CONFIG_FILE).read_text())
        change(content["metadata"])
        (folder / loader.CONFIG_FILE).write_text(json.dumps(content))
        return folder

    return edit


def test_every_data_set_says_whether_it_is_ink():
    assert set(zoo.datasets.INK) == set(zoo.datasets.DATASETS)
    answers = {name: zoo.datasets.is_ink(name, {}) for name in zoo.datasets.DATASETS}
    assert answers["omniglot"] and answers["glyphs"] and not answers["image_folder"] and not answers["sinusoid"]
    assert zoo.datasets.is_ink("image_folder", {"invert": True})
    with pytest.raises(ValueError, match="Unknown data set: expected one of .* Received: 'mnist'"):
        zoo.datasets.is_ink("mnist", {})


@pytest.mark.parametrize("name", zoo.list_presets())
def test_shipped_presets_record_their_ink(name):
    assert loader.preset_metadata(name)["ink"] is any(letters in name for letters in ("omniglot", "glyphs"))


def test_what_is_recorded_holds_whatever_the_data_set_is_called(run_folder):
    assert not way_and_ink.is_ink(run_folder(lambda metadata: metadata.update(ink=False)))
    folder = run_folder(lambda metadata: metadata.update(ink=True, config={"dataset": {"name": "mine"}}))
    assert way_and_ink.is_ink(folder)


@pytest.mark.parametrize("invert", [True, False])
def test_a_run_from_before_says_it_by_its_data_set(run_folder, invert):
    def before(metadata):
        del metadata["ink"]
        metadata["config"]["dataset"] = {"name": "image_folder", "options": {"root": "x", "invert": invert}}

    assert way_and_ink.is_ink(run_folder(before)) is invert


def test_a_run_of_which_nothing_is_known_is_named(run_folder):
    folder = run_folder(lambda metadata: (metadata.clear(), metadata.update(config={"dataset": {"name": "mine"}})))
    with pytest.raises(
        ValueError, match="must say in its metadata .* \"ink\": true or false. Received: ink=None .* 'mine'"
    ):
        way_and_ink.is_ink(folder)


@pytest.mark.parametrize(
    "dataset", [None, [1], "glyphs", {"name": ["glyphs"]}, {"name": "image_folder", "options": None}]
)
def test_metadata_of_another_kind_are_a_value_error(run_folder, dataset):
    """AttributeError and TypeError before; so was a config that is null."""
    for config in ({"dataset": dataset}, dataset):
        folder = run_folder(lambda metadata, c=config: (metadata.clear(), metadata.update(config=c)))
        assert isinstance(way_and_ink.dataset_of(loader.preset_metadata(folder)), dict)
        with pytest.raises(ValueError, match="must say in its metadata"):
            way_and_ink.is_ink(folder)


@pytest.mark.parametrize("binary", ["export.export_model", "export.freeze_model"])
def test_the_weights_are_read_once(binary, tmp_path):
    write_folder(tmp_path / "support", np.random.default_rng(0).random((4, 28, 28, 1)), [0, 0, 1, 1])
    flags = [f"--preset={PRESET}", f"--output_dir={tmp_path / 'served'}"]
    flags += ["--way=7"] if binary == "export.export_model" else [f"--support={tmp_path / 'support'}"]
    done = run("tests.export.count_loads", binary, *flags)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(count_loads.LINE) == 1


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
