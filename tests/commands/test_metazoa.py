"""The console command, called as an installed one is: from any folder, whatever lies there."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from commands import calling, metazoa, sources

ROOT = pathlib.Path(__file__).parents[2]
PRESET = "prototypical_network_conv4_glyphs_30way_1shot"
QUICK = [
    "--config.outer.num_steps=2",
    "--config.validation.episodes=2",
    "--config.model.backbone_options.filters=4",
    "--config.train.way=5",
    "--config.evaluation.episodes=2",
]


@pytest.fixture
def folder(tmp_path):
    """A folder of someone who has packages called as this one's; to import one is an error."""
    for name in ("configs", "export", "trainers", "zoo"):
        package = tmp_path / "mine" / name
        package.mkdir(parents=True)
        for file in ("__init__.py", "common.py", "classify.py"):
            (package / file).write_text("raise RuntimeError('a package of the user')")
    return tmp_path / "mine"


def run(folder, *arguments, path=ROOT, start=("-m", "commands.metazoa")):
    environment = {**os.environ, "PYTHONPATH": str(path)}
    command = [sys.executable, *start, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)


def test_help_lists_every_command_with_its_line_in_under_a_second(folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "commands.metazoa", "--help"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    lines = process.stdout.read().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0 and usage.ru_utime + usage.ru_stime < 1
    assert [line.split()[0] for line in lines[2:]] == list(calling.MODULES)
    assert "  train     Trains a model of the zoo." in lines


def test_commands_are_all_binaries_but_those_of_the_repository():
    binaries = {
        ".".join(path.with_suffix("").parts)
        for package in ("trainers", "publishing", "studies", "export")
        for path in pathlib.Path(package).glob("*.py")
        if "\n    launcher.run(" in path.read_text(encoding="utf-8")
    }
    of_repository = {"trainers.measure_preset", "publishing.publish", "studies.gradient_study"}
    assert set(calling.MODULES.values()) == binaries - of_repository


def test_help_of_a_command_names_the_command(folder):
    done = run(folder, "export", "--help")
    assert done.returncode == 0 and "\nmetazoa export --workdir=DIR" in done.stdout and "--output_dir" in done.stdout
    assert "python -m" not in done.stdout


def test_unknown_commands_are_named_with_those_nearby(folder):
    done = run(folder, "trian", "--config=x")
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(
        r"error: Expected a command, one of show, train, .*\. Did you mean train\b.*\? Received: 'trian'\n", done.stderr
    )
    done = run(folder)
    assert done.returncode == 1 and done.stdout.startswith("usage: metazoa COMMAND")


def test_configs_are_found_by_name_from_any_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    packaged = sources.CONFIGS / "maml_sinusoid.py"
    for name in (
        "maml_sinusoid",
        "maml_sinusoid.py",
        "configs/maml_sinusoid.py",
        "configs/maml_sinusoid",
        str(packaged),
    ):
        assert sources.find_config(name) == packaged, name
    for name in ("simpleshot_image_folder", "configs/simpleshot_image_folder.py", "simple-shot-image-folder"):
        assert sources.find_config(name) == sources.CONFIGS / "simple_shot_image_folder.py", name
    for name in ("other/maml_sinusoid.py", "configs/more/maml_sinusoid.py", "common", "__init__"):
        with pytest.raises(ValueError, match="`--config` must name a config file"):
            sources.find_config(name)
    with pytest.raises(ValueError, match="such as maml_sinusoid.* Received: maml_sinusiod"):
        sources.find_config("maml_sinusiod")
    mine = pathlib.Path("configs/maml_sinusoid.py")
    mine.write_text("")
    assert sources.find_config("configs/maml_sinusoid.py") == mine  # a file that is there goes first
    assert sources.find_config("maml_sinusoid") == packaged


def test_a_config_by_name_takes_nothing_from_the_current_folder(folder):
    """`from configs import common` of the config is the package's, or the config would have no fields to list."""
    done = run(folder, "train", "--config=prototypical_network_glyphs", "--workdir=run", "--config.trian.way=3")
    assert done.returncode == 1 and "the fields of `config` are ['checkpoint_every', 'dataset', " in done.stderr
    done = run(folder, "train", "--config=prototypical_network_glyph", "--workdir=run")
    assert done.returncode == 1 and "such as prototypical_network_glyphs, " in done.stderr, done.stderr


def test_texts_name_the_command_as_it_was_called(monkeypatch):
    evaluate = ("trainers.evaluate", "--workdir=my run")
    assert calling.command_line(*evaluate) == "python -m trainers.evaluate '--workdir=my run'"
    monkeypatch.setattr(calling, "_called", {"by_console": True})
    assert calling.command_line(*evaluate) == "metazoa evaluate '--workdir=my run'"
    assert calling.command_line("publishing.publish") == "python -m publishing.publish"
    assert calling.in_own_words("python -m export.classify --query=x") == "metazoa classify --query=x"


def test_the_current_folder_is_no_place_to_import_from(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", ["", str(folder), ".", *sys.path])
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(calling, "_called", dict(calling._called))
    seen = {}
    # The binary itself would declare its flags once more in this process.
    monkeypatch.setattr(metazoa.runpy, "run_module", lambda module, **_: seen.update({module: list(sys.path)}))
    metazoa.main(["classify", "--help"])
    assert list(seen) == ["export.classify"] and not {"", ".", str(folder)} & set(seen["export.classify"])


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="needs the whole repository")
def test_the_wheel_has_all_that_the_command_needs_and_no_tests(folder, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    ignored = shutil.ignore_patterns(".*", "runs", "__pycache__", "*.egg-info", "bazel-*")
    shutil.copytree(ROOT, source, ignore=ignored)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "wheel", *options, "--wheel-dir", str(tmp_path), str(source)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {
        *("commands", "configs", "export", "publishing", "studies", "trainers", "zoo"),
    }
    data = [path for path in (source / "zoo").rglob("*") if path.suffix in (".json", ".h5") or path.name == "card.md"]
    data += (source / "configs").glob("*.py")
    assert data and {path.relative_to(source).as_posix() for path in data} <= set(names)
    subprocess.run([*pip, "install", *options[:2], "--target", str(target), str(wheel)], check=True)
    script = [str(target / "bin" / "metazoa")]
    done = run(folder, "--help", path=target, start=script)
    assert done.returncode == 0 and "  classify  " in done.stdout, done.stderr
    done = run(folder, "export", f"--preset={PRESET}", "--output_dir=served/letters", path=target, start=script)
    assert done.returncode == 0 and (folder / "served" / "letters" / "1" / "saved_model.pb").is_file(), done.stderr
    done = run(
        folder, "train", "--config=prototypical_network_glyphs", "--workdir=run", *QUICK, path=target, start=script
    )
    assert done.returncode == 0 and "next: metazoa evaluate --workdir=run" in done.stdout, done.stderr


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
