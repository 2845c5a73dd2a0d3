"""docs/own_pictures.md, word by word: each of its commands and blocks runs, on pictures made here."""

import pathlib
import re
import shlex
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from tests.binaries import run

TEXT = pathlib.Path("docs/own_pictures.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
]
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
# A run of seconds, from weights that need no download, in place of the config's.
NETWORK = "--config.model.backbone_options.weights=network.weights.h5"
SMALL = [
    "--config.dataset.options.image_size=32",
    "--config.outer.num_steps=4",
    "--config.validation.every=4",
    "--config.validation.episodes=4",
    "--config.evaluation.episodes=4",
]


def write_pictures(folder, names, count=8):
    """A class is a colour; its pictures are of several sizes and shades of it."""
    rng = np.random.default_rng(0)
    for name in names:
        colour = rng.integers(0, 200, 3)
        (folder / name).mkdir(parents=True)
        for number in range(count):
            shape = (*rng.integers(20, 60, 2), 3)
            pixels = (colour + rng.integers(0, 56, shape)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.{'png' if number % 2 else 'jpg'}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Someone's folder, where all the commands of the document have run, and what they said."""
    folder = tmp_path_factory.mktemp("someone")
    write_pictures(folder / "photos", [f"part{number}" for number in range(10)])
    write_pictures(folder / "new_classes", ["bolt", "nut"], count=3)
    write_pictures(folder, ["unknown"])
    for number in (1, 2):
        Image.new("RGB", (40, 30), "red").save(folder / "unknown" / f"{number}.png")
    write_pictures(folder / "two", ["good", "bad"], count=12)
    (folder / "photos" / "part0" / "notes.txt").write_text("")
    (folder / "configs").mkdir()  # someone's own
    return folder


@pytest.fixture(scope="module")
def said(folder):
    """{command: what it printed}"""
    network = keras.applications.MobileNetV2((32, 32, 3), include_top=False, weights=None, pooling="avg", alpha=0.35)
    network.save_weights(folder / "network.weights.h5")
    said = {}
    for command in COMMANDS:
        if command[0] != "metazoa" or any(part.startswith("--server") for part in command):
            continue
        small = SMALL if command[1] in ("train", "pretrain") else []
        small = [*small, NETWORK] if small and "conv4" not in " ".join(command) else small
        done = run("commands.metazoa", *command[1:], *small, cwd=folder)
        assert done.returncode == 0, (command, done.stderr)
        said[" ".join(command)] = done.stdout + done.stderr
    return said


def of(said, start):
    (text,) = [text for command, text in said.items() if command.startswith(f"metazoa {start}")]
    return text


@pytest.mark.slow
def test_every_command_runs_and_says_what_the_document_says(folder, said):
    shown = of(said, "show --dataset=image_folder --root=photos")
    assert "train: 5 classes, 40 images, 8 of each" in shown
    assert (folder / "sheet.png").is_file() and (folder / "runs" / "photos" / "card.md").is_file()
    assert "1 file in class folders left out" in shown
    assert len((folder / "answers.csv").read_text().splitlines()) == 1 + len(list((folder / "unknown").iterdir()))
    assert "next: metazoa evaluate --workdir=runs/two" in of(
        said, "train --config=prototypical_network_image_folder --config.dataset.options.root=two"
    )
    assert "2 known classes, those of training" in of(said, "evaluate --workdir=runs/two")
    assert "known classes" not in of(said, "evaluate --workdir=runs/photos")
    assert "a classifier of bolt, nut" in of(said, "freeze")


@pytest.mark.slow
def test_the_blocks_of_python_run(folder, said, monkeypatch):
    monkeypatch.chdir(folder)
    names = {}
    for code in BLOCKS:
        exec(compile(code.replace("steps_per_epoch=100", "steps_per_epoch=2"), "document", "exec"), names)
    assert names["name"] in ("bolt", "nut") and len(names["answers"]) == 2
    assert names["every"].shape == (2,) and names["every"].sum() == pytest.approx(1)
    for written in ("served/known/1/saved_model.pb", "models/mine/model.weights.h5", "served/mine/1/saved_model.pb"):
        assert (folder / written).is_file(), written


def test_looking_at_a_folder_counts_it_and_names_what_is_wrong(folder):
    broken = [path / "broken.png" for path in (folder / "photos").iterdir()]
    for path in broken:
        path.write_bytes(b"no picture")
    try:
        commands = [command for command in COMMANDS if command[:2] == ["metazoa", "show"]]
        photos, two = [run("commands.metazoa", *command[1:], cwd=folder) for command in commands]
    finally:
        for path in broken:
            path.unlink()
    assert photos.returncode == two.returncode == 0, photos.stderr + two.stderr
    for counts in ("train: 5 classes, 40 images", "validation: 2 classes, 16 images", "test: 3 classes, 24 images"):
        assert f"{counts}, 8 of each" in photos.stdout
    assert "1 file in class folders left out" in photos.stderr
    assert "photos: 5 files that cannot be read left out: part" in photos.stderr
    for counts in (
        "train: 2 classes, 12 images, 6",
        "validation: 2 classes, 6 images, 3",
        "test: 2 classes, 6 images, 3",
    ):
        assert f"{counts} of each" in two.stdout


def test_two_classes_without_split_by_are_told_of_it(folder):
    done = run("commands.metazoa", "show", "--dataset=image_folder", "--root=two", "--output=x.png", cwd=folder)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and "`split_by` 'images'" in line


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
