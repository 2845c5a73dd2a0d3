"""A run keeps to the classes that it was made with: a data set that changed since then is refused by names."""

import json
import re
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from configs import common
from trainers import builder, class_record, loop, protocols
from zoo.presets.loader import preset_metadata

NAMES = {"train": ["a", "b", "c"], "validation": ["d", "e"], "test": ["f", "g"]}


class Tasks:
    def __init__(self, names):
        self.names = tuple(names)


def write_classes(root, names, num_images=4):
    rng = np.random.default_rng(0)
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(num_images):
            Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(root / name / f"{number}.png")


def make_config(root, num_steps=4):
    config = common.get_config()
    config.dataset = {"name": "image_folder", "options": {"root": str(root), "image_size": 8}, "train_options": {}}
    protocol = {"way": 2, "shot": 1, "query": 2}
    config.train = {**protocol, "tasks": 1}
    config.validation = {**protocol, "tasks": 1, "episodes": 4, "every": 4}
    backbone = {"input_shape": (8, 8, 1), "hidden_sizes": (4,)}
    config.model = {"method": "PrototypicalNetwork", "options": {}, "backbone": "mlp", "backbone_options": backbone}
    config.outer.num_steps = num_steps
    config.checkpoint_every = 2
    config.evaluation.episodes = 10
    config.evaluation.protocols = {"2way": {**protocol, "overrides": {}}}
    return builder.to_dict(config)


class Killed(BaseException):
    pass


def train(root, folder, stop_at=None, **options):
    """A run of four steps; killed on its way to step `stop_at`."""

    def train_until(self, stop, original=loop.Trainer.train_until):
        if stop == stop_at:
            raise Killed
        return original(self, stop)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop.Trainer, "train_until", train_until)
        loop.train(make_config(root, **options), str(folder), tf.distribute.get_strategy(), "the command")


@pytest.fixture(scope="module")
def run_of_ten(tmp_path_factory):
    """A folder of 10 classes, and a run on it: 5 are trained on, 2 validate, 3 test."""
    root, folder = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("run")
    write_classes(root, [f"class{number}" for number in range(10)])
    train(root, folder)
    return root, folder


def test_the_run_and_its_preset_name_the_classes_of_each_subset(run_of_ten):
    _, folder = run_of_ten
    names = json.loads((folder / "classes.json").read_text())
    assert {subset: len(of_subset) for subset, of_subset in names.items()} == {"train": 5, "validation": 2, "test": 3}
    assert sorted(sum(names.values(), [])) == [f"class{number}" for number in range(10)]
    recorded = preset_metadata(folder)["classes"]
    assert {subset: of_subset["names"] for subset, of_subset in recorded.items()} == names


@pytest.mark.parametrize("keeps_record", [True, False], ids=["workdir", "preset"])
def test_evaluation_on_a_folder_with_another_class_is_refused(run_of_ten, tmp_path, keeps_record):
    """With a class more the split deals classes that were trained on to the test: named, from either record."""
    root, folder = run_of_ten
    names = json.loads((folder / "classes.json").read_text())
    for name in ("model.json", "model.weights.h5", *(["classes.json"] if keeps_record else [])):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    protocols.evaluate_preset(tmp_path)
    write_classes(root, ["another"])
    try:
        with pytest.raises(ValueError, match="subset 'test' must be the 3 that the model was made with") as caught:
            protocols.evaluate_preset(tmp_path)
        now_tested = builder.build_tasks(make_config(root)["dataset"], "test").names
        trained_on = [name for name in now_tested if name in names["train"]]
        assert trained_on, "the case is no leak"
        assert f"of these then in 'train': {', '.join(map(repr, trained_on))}" in str(caught.value)
    finally:
        for file in (root / "another").iterdir():
            file.unlink()
        (root / "another").rmdir()
    protocols.evaluate_preset(tmp_path)


def test_a_run_on_known_classes_keeps_to_its_images(tmp_path):
    """Ten images of each of two classes: 6 train, 2 validate, 2 test; an image more deals the others out anew."""
    root, folder = tmp_path / "data", tmp_path / "run"
    write_classes(root, ["cat", "dog"], num_images=10)
    config = make_config(root)
    config["dataset"]["options"]["split_by"] = "images"
    for part in (config["train"], config["validation"], config["evaluation"]["protocols"]["2way"]):
        part["query"] = 1
    loop.train(config, str(folder), tf.distribute.get_strategy(), "the command")
    names = json.loads((folder / "classes.json").read_text())
    assert {subset: len(of_subset) for subset, of_subset in names.items()} == {"train": 10, "validation": 4, "test": 6}
    assert sorted(sum(names.values(), [])) == sorted(f"{c}/{n}.png" for c in ("cat", "dog") for n in range(10))
    (result,), _ = protocols.evaluate_preset(folder)
    assert result["known_classes"] and result["classes"] == 2
    write_classes(root, ["dog"], num_images=11)
    now_tested = builder.build_tasks(config["dataset"], "test").image_names
    trained_on = [name for name in now_tested if name in names["train"]]
    assert trained_on, "the case is no leak"
    with pytest.raises(ValueError, match=f"of these then in 'train': {', '.join(map(repr, trained_on))}"):
        protocols.evaluate_preset(folder)


def test_weights_without_a_checkpoint_keep_their_classes(run_of_ten, tmp_path):
    """As a process leaves them that was killed between its first validation and its first checkpoint."""
    _, folder = run_of_ten
    write_classes(tmp_path / "data", [f"class{number}" for number in range(11)])
    for name in ("model.json", "model.weights.h5", "classes.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    before = (folder / "classes.json").read_bytes()
    with pytest.raises(ValueError, match="must be the 5 that the model was made with"):
        train(tmp_path / "data", tmp_path, stop_at=2)
    assert (tmp_path / "classes.json").read_bytes() == before


def test_training_goes_on_with_its_own_classes_alone(tmp_path):
    """Killed after the checkpoint of step 2; a class that went since then is named, and the run goes on when it is back."""
    for subset, names in NAMES.items():
        write_classes(tmp_path / "data" / subset, names)
    with pytest.raises(Killed):
        train(tmp_path / "data", tmp_path / "run", stop_at=4)
    (tmp_path / "data" / "test" / "f").rename(tmp_path / "data" / "test" / "z")
    with pytest.raises(ValueError, match="subset 'test' must be the 2 .*Received: 'z' not among them; 'f' missing"):
        train(tmp_path / "data", tmp_path / "run")
    (tmp_path / "data" / "test" / "z").rename(tmp_path / "data" / "test" / "f")
    train(tmp_path / "data", tmp_path / "run")
    assert protocols.training_cost(tmp_path / "run")["steps"] == 4


def test_a_run_that_took_no_step_takes_the_data_as_it_is_now(tmp_path):
    for subset, names in NAMES.items():
        write_classes(tmp_path / "data" / subset, names)
    with pytest.raises(Killed):
        train(tmp_path / "data", tmp_path / "run", stop_at=2)
    write_classes(tmp_path / "data" / "train", ["more"])
    train(tmp_path / "data", tmp_path / "run")
    assert json.loads((tmp_path / "run" / "classes.json").read_text())["train"] == ["a", "b", "c", "more"]


@pytest.mark.parametrize(
    "test_classes, message",
    [
        ([], "must have the subset 'test', called test or testing"),
        (["f"], "'test' cannot give the episodes of `config.evaluation.protocols.2way`: `way` must be at most"),
    ],
)
def test_the_test_classes_are_looked_at_before_training(tmp_path, test_classes, message):
    for subset, names in {**NAMES, "test": test_classes}.items():
        write_classes(tmp_path / "data" / subset, names)
    with pytest.raises(ValueError, match=message):
        train(tmp_path / "data", tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()


def test_many_classes_are_recorded_by_hashes_that_still_tell_names(tmp_path):
    names = {
        "train": [f"letter{number}" for number in range(1000)],
        "test": [f"digit{number}" for number in range(300)],
    }
    recorded = class_record.summary(names)
    assert len(json.dumps(recorded)) < 8500
    (tmp_path / "model.json").write_text(json.dumps({"format": 1, "model": {}, "metadata": {"classes": recorded}}))
    class_record.check_preset(tmp_path, "test", Tasks(names["test"]))
    changed = ["letter7", "new", *names["test"]]
    message = "Received: 'letter7', 'new' not among them; of these then in 'train': 'letter7'"
    with pytest.raises(ValueError, match=f"must be the 300 .*{re.escape(message)}$"):
        class_record.check_preset(tmp_path, "test", Tasks(changed))
    with pytest.raises(ValueError, match="Received: 299 of them$"):
        class_record.check_preset(tmp_path, "test", Tasks(names["test"][1:]))
    with pytest.raises(ValueError, match="'x0', 'x1', 'x2', 'x3', 'x4' and 5 others not among them$"):
        class_record.check_preset(tmp_path, "test", Tasks([*names["test"], *(f"x{number}" for number in range(10))]))


def test_presets_without_a_record_and_tasks_without_classes_are_taken_as_they_are(tmp_path):
    (tmp_path / "model.json").write_text(json.dumps({"format": 1, "model": {}, "metadata": {}}))
    class_record.check_preset(tmp_path, "test", Tasks(["a"]))
    class_record.check_preset(tmp_path, "test", object())
    class_record.check_run(tmp_path, {"train": ["a"]})


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
