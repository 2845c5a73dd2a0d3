"""What is wrong with what a flag names is said in one line, before TensorFlow is imported."""

import os
import pathlib
import subprocess
import sys

import pytest

from commands import sources

ROOT = pathlib.Path(__file__).parents[2]
PRESET = "prototypical_network_conv4_glyphs_30way_1shot"
CONFIG = "--config=configs/maml_sinusoid.py"


@pytest.fixture(scope="module")
def without_tensorflow(tmp_path_factory):
    """A folder for PYTHONPATH in which importing TensorFlow or Keras ends the process."""
    folder = tmp_path_factory.mktemp("without")
    for name in ("tensorflow", "keras"):
        (folder / f"{name}.py").write_text('raise SystemExit("imported")')
    return folder


@pytest.fixture
def folders(tmp_path):
    """A file, an empty folder, a folder of other things, a run that has not validated yet, and a link to nothing."""
    (tmp_path / "file").write_text("kept")
    for name in ("empty", "other", "run"):
        (tmp_path / name).mkdir()
    (tmp_path / "other" / "x").write_text("")
    (tmp_path / "run" / "model.json").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    return tmp_path


@pytest.mark.parametrize(
    "module, arguments, message",
    [
        ("trainers.evaluate", [], "Give either --workdir or --preset. Received: neither. --help shows the flags"),
        (
            "trainers.evaluate",
            ["--workdir=a", "--preset=b"],
            "Received: --workdir=a and --preset=b. --help shows the flags",
        ),
        (
            "trainers.evaluate",
            ["--workdir={0}/none"],
            "`--workdir` must be the folder of a training run. Received: {0}/none, no such folder",
        ),
        ("trainers.evaluate", ["--workdir={0}/file"], "{0}/file, a file"),
        ("trainers.evaluate", ["--workdir={0}/empty"], "{0}/empty, an empty folder"),
        ("trainers.evaluate", ["--workdir={0}/other"], "{0}/other, a folder without model.json"),
        (
            "trainers.evaluate",
            ["--workdir={0}/run"],
            "{0}/run, a run without model.weights.h5, which the first validation writes",
        ),
        ("trainers.evaluate", ["--preset=resnet"], "or a folder with model.json. Received: --preset=resnet. README.md"),
        (
            "trainers.evaluate",
            ["--preset=maml_sinusoid_5shot"],
            "Received: --preset=maml_sinusoid_5shot; near: maml_mlp_sinusoid_5shot. README.md lists all presets",
        ),
        (
            "trainers.train",
            ["--config.x=1", "--workdir={0}/o"],
            "--config.x changes a field of a config: --config must name",
        ),
        ("studies.gradient_study", ["--config.x=1", "--output_dir={0}/o"], "--config.x changes a field of a config"),
        (
            "trainers.evaluate",
            [f"--preset={PRESET}", "--shot=1,2,3"],
            "the lowest and the highest, 3,5. Received: 1,2,3",
        ),
        (
            "trainers.train",
            [CONFIG, "--workdir={0}/file"],
            "`--workdir` must be a folder that can be written. Received: {0}/file: {0}/file is a file",
        ),
        ("trainers.train", [CONFIG, "--workdir={0}/file/run"], "Received: {0}/file/run: {0}/file is a file"),
        (
            "trainers.pretrain",
            [CONFIG, "--workdir={0}/link"],
            "Received: {0}/link: {0}/link is a link to nothing",
        ),
        (
            "trainers.train",
            [CONFIG, "--workdir={0}/run [1]"],
            "`--workdir` must be without the characters * ? [ \\ ] of patterns. Received: {0}/run [1]",
        ),
        (
            "export.export_model",
            [f"--preset={PRESET}", "--output_dir={0}/a*"],
            "`--output_dir` must be without the characters",
        ),
        ("publishing.publish", ["--workdir={0}/none", "--preset=x"], "Received: {0}/none, no such folder"),
        ("export.export_model", ["--workdir={0}/none", "--output_dir={0}/o"], "Received: {0}/none, no such folder"),
        ("export.export_model", ["--output_dir={0}/o"], "Give either --workdir or --preset. Received: neither."),
        (
            "export.export_model",
            [f"--preset={PRESET}", "--output_dir={0}/file"],
            "`--output_dir` must be a folder that can",
        ),
        (
            "export.freeze_model",
            [f"--preset={PRESET}", "--support={0}/none", "--output_dir={0}/o"],
            "`--support` must be a file or folder that is there. Received: {0}/none",
        ),
        ("export.freeze_model", ["--workdir={0}/other", "--support={0}", "--output_dir={0}/o"], "without model.json"),
        (
            "export.classify",
            ["--saved_model={0}/file", "--support={0}", "--query={0}"],
            "`--saved_model` must be a version folder of an export. Received: {0}/file, a file",
        ),
        (
            "export.classify",
            ["--server=h:1", "--support={0}", "--query={0}/none"],
            "`--query` must be a file or folder that is there. Received: {0}/none",
        ),
        ("trainers.measure_preset", [], "--preset must have a value"),
        (
            "trainers.measure_preset",
            [f"--preset=zoo/presets/{PRESET}"],
            f"Received: --preset=zoo/presets/zoo/presets/{PRESET}",
        ),
        ("publishing.show_classes", ["--dataset=image_folder", "--output={0}/x.png"], "Give --root with"),
        ("publishing.show_classes", ["--root={0}", "--output={0}/x.png"], "and with no other."),
        (
            "publishing.show_classes",
            ["--dataset=image_folder", "--root={0}/none", "--output={0}/x.png"],
            "`--root` must be a file or folder that is there. Received: {0}/none",
        ),
        (
            "publishing.show_classes",
            ["--output={0}/none/x.png"],
            "`--output` must be a file that can be written. Received: {0}/none/x.png: No such file or directory",
        ),
        ("publishing.show_classes", ["--output={0}/empty"], "Received: {0}/empty: Is a directory"),
        (
            "export.classify",
            ["--server=h:1", "--query={0}/file", "--csv={0}/file/x.csv"],
            "`--csv` must be a file that can be written. Received: {0}/file/x.csv: Not a directory",
        ),
        ("export.try_export", ["--saved_model={0}/none"], "Received: {0}/none, no such folder"),
        ("studies.gradient_study", ["--workdir={0}/none", "--output_dir={0}/o"], "Received: {0}/none, no such folder"),
    ],
)
def test_what_flags_name_is_checked_first(module, arguments, message, folders, without_tensorflow):
    before = sorted(folders.rglob("*"))
    done = run(module, *[argument.format(folders) for argument in arguments], path=without_tensorflow)
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and message.format(folders) in line
    assert sorted(folders.rglob("*")) == before


def test_publish_says_where_it_must_run(tmp_path, without_tensorflow):
    done = run("publishing.publish", path=without_tensorflow, cwd=tmp_path)
    expected = "error: The current folder must be the top of the repository. Received: "
    assert done.returncode == 1 and done.stderr == f"{expected}{tmp_path}, without README.md\n"


def test_presets_and_runs_are_found():
    assert sources.chosen_source(None, PRESET) == PRESET
    folder = str(sources.PRESETS / PRESET)
    assert sources.chosen_source(folder, None) == sources.chosen_source(None, folder) == folder


def test_a_folder_is_made_and_left_empty(tmp_path):
    folder = sources.writable_folder(tmp_path / "a" / "b", "--output_dir")
    assert folder.is_dir() and not list(folder.iterdir())


def test_a_folder_that_cannot_be_written_is_named_with_its_flag(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="`--workdir` must be a folder that can be written. Received: .*file: "):
        sources.writable_folder(tmp_path / "file", "--workdir")


def run(module, *arguments, path, cwd=ROOT):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path), str(ROOT)])}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
