"""How binaries start and end, as people see it: real processes, without the warm start of other tests."""

import ast
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from commands import launcher
from commands.calling import MODULES

PACKAGES = ("trainers", "publishing", "studies", "export", "benchmarks")
BINARIES = sorted(
    ".".join(path.with_suffix("").parts)
    for package in PACKAGES
    for path in pathlib.Path(package).glob("*.py")
    if "\n    launcher.run(" in path.read_text(encoding="utf-8")
)
QUIET = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
NOISE = re.compile(r"^(WARNING|[IWEF]\d{4} |\d{4}-\d\d-\d\d )|Warning|CUDA|oneDNN|InitializeLog", re.MULTILINE)


def run(*arguments, path=""):
    environment = {**QUIET, "PYTHONPATH": os.pathsep.join([str(path), QUIET.get("PYTHONPATH", "")])}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment)


def test_every_binary_is_known():
    starts = [
        ".".join(path.with_suffix("").parts)
        for package in PACKAGES
        for path in pathlib.Path(package).glob("*.py")
        if "def main()" in path.read_text(encoding="utf-8")
    ]
    assert BINARIES == sorted(starts) and len(BINARIES) == 18


def test_flags_that_name_a_file_or_folder_are_paths():
    """Of `path_flags`, which find the home folder."""
    sources = [pathlib.Path(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8") for module in BINARIES]
    texts = [text for source in sources for text in re.findall(r"flags\.DEFINE_string\((.*)", source)]
    assert texts and not [text for text in texts if re.search("folder|file|PNG", text, re.IGNORECASE)]


@pytest.mark.parametrize("module", BINARIES)
def test_help_is_answered_at_once(module):
    """Two seconds of the processor: seconds of the clock are those of the other processes too."""
    process = subprocess.Popen([sys.executable, "-m", module, "--help"], stdout=subprocess.PIPE, text=True, env=QUIET)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0 and f"python -m {module}" in text and "flags:" in text
    assert usage.ru_utime + usage.ru_stime < 2


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--count=many"], "error: .*count.*many.* --help shows the flags"),
        (["--cuont=1"], "error: Unknown command line flag 'cuont'. Did you mean: count.* --help shows the flags"),
        ([], "error: --count and --name must have a value. --help shows the flags"),
        (["--count=1", "--name="], "error: --name must have a value. --help shows the flags"),
        (["--count=1", "--name=x", "more"], r"error: Expected flags only. Received: \['more'\] --help shows the flags"),
        (["--count=0", "--name=x"], r"error: count must be positive\\x1b\[2J"),
        (["--count=1", "--name=x"], "interrupted: again"),
        (["--count=2", "--name=x"], "warning: many"),
    ],
)
def test_what_goes_wrong_is_said_in_one_line(arguments, message, tmp_path):
    (tmp_path / "binary.py").write_text("""
import warnings
from absl import flags
from commands import launcher
COUNT = flags.DEFINE_integer("count", None, "A count.")
flags.DEFINE_string("name", None, "A name.")
def main():
    if COUNT.value < 1:
        raise ValueError("count must be positive\\033[2J")
    if COUNT.value > 1:
        warnings.warn("many", stacklevel=2)
        return
    raise KeyboardInterrupt
launcher.run(main, required=["count", "name"], interrupted="interrupted: again")
""")
    done = run("-m", "binary", *arguments, path=tmp_path)
    assert done.returncode == {"error": 1, "warning": 0, "interrupted": 130}[message.partition(":")[0]]
    assert re.fullmatch(message, done.stderr.strip()) and not done.stdout


@pytest.mark.parametrize("number, text, status", [("INT", "interrupted", 130), ("TERM", "terminated", 75)])
def test_a_signal_ends_a_binary_in_one_line_wherever_it_stands(number, text, status, tmp_path):
    """In its first imports, in `main`, where what catches everything does not catch it, and in what runs at exit."""
    (tmp_path / "binary.py").write_text("""
from commands import early
import atexit, os, signal, sys
def raise_signal():
    try:
        os.kill(os.getpid(), getattr(signal, "SIG" + os.environ["NUMBER"]))
        for _ in range(10**8): pass
    except BaseException:
        pass
place = os.environ["PLACE"]
if place == "import": raise_signal()
from commands import launcher
if place == "exit": atexit.register(raise_signal)
def main():
    if place == "main": raise_signal()
    print("done")
launcher.run(main, interrupted="interrupted: in main", terminated="terminated: in main")
""")
    for place, line in (("import", text), ("main", f"{text}: in main"), ("exit", f"{text}: in main")):
        environment = {**QUIET, "PYTHONPATH": str(tmp_path), "NUMBER": number, "PLACE": place}
        done = subprocess.run([sys.executable, "-m", "binary"], capture_output=True, text=True, env=environment)
        assert (done.returncode, done.stderr, done.stdout) == (status, f"{line}\n", "done\n" if place == "exit" else "")


def test_a_run_that_can_be_continued_ends_with_a_status_of_its_own(tmp_path):
    (tmp_path / "binary.py").write_text("""
from commands import launcher, signals
def main():
    print("trained a little")
    raise signals.Resumable("step 4 is saved")
launcher.run(main)
""")
    done = run("-m", "binary", path=tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (75, "step 4 is saved\n", "trained a little\n")


@pytest.mark.parametrize("main", ["os.kill(os.getpid(), signal.SIGTERM)", "raise signals.Resumable('step 4 is saved')"])
def test_a_status_stays_where_who_read_the_lines_is_gone(main, tmp_path):
    """As in `metazoa train ... 2>&1 | tee log`, where Ctrl-C ends both, and `train` closes its bar meanwhile."""
    (tmp_path / "binary.py").write_text(f"""
import os, signal, sys
from commands import launcher, signals
def main():
    try:
        {main}
    finally:
        print("a line", flush=True)
        print("a bar", file=sys.stderr, flush=True)
launcher.run(main, terminated="terminated")
""")
    reader, writer = os.pipe()
    os.close(reader)
    environment = {**QUIET, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-m", "binary"], stdout=writer, stderr=writer, env=environment)
    os.close(writer)
    assert done.returncode == 75


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_a_binary_works_without_its_standard_streams(closed, tmp_path):
    """What it opens then must not be where libraries write their notices."""
    (tmp_path / "binary.py").write_text("""
import os, sys
from commands import launcher
def main():
    with launcher.imports():
        pass
    with open(os.environ["FILE"], "w") as file:
        os.write(2, b"a notice")
        print("a bar", file=sys.stderr)
        file.write("done")
launcher.run(main)
""")
    environment = {**QUIET, "PYTHONPATH": str(tmp_path), "FILE": str(tmp_path / "file")}
    command = f"'{sys.executable}' -m binary {closed}"
    assert subprocess.run(command, shell=True, env=environment).returncode == 0
    assert (tmp_path / "file").read_text() == "done"


@pytest.mark.parametrize("module", ["commands.metazoa", *MODULES.values()])
def test_console_commands_import_what_handles_signals_first(module):
    source = pathlib.Path(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
    first = next(node for node in ast.parse(source).body if isinstance(node, (ast.Import, ast.ImportFrom)))
    assert ast.unparse(first) == "from commands import early"


def test_notices_of_an_import_are_shown_where_it_fails(capfd, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    with launcher.imports():
        os.write(2, b"a notice")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"
    with pytest.raises(ImportError), launcher.imports():
        os.write(2, b"the reason")
        raise ImportError
    assert capfd.readouterr().err == "the reason"
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with launcher.imports():
        os.write(2, b"asked for")
    assert capfd.readouterr().err == "asked for"


@pytest.mark.skipif(not pathlib.Path("/proc/self/maps").exists(), reason="needs /proc")
def test_ctrl_c_during_imports_says_one_line(tmp_path):
    arguments = ["--config=configs/maml_sinusoid.py", f"--workdir={tmp_path / 'run'}"]
    command = [sys.executable, "-m", "trainers.train", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=QUIET)
    maps = pathlib.Path(f"/proc/{process.pid}/maps")
    while "tensorflow" not in maps.read_text() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors == "interrupted\n"


def run_quietly(module, *arguments):
    done = run("-m", module, *arguments)
    assert done.returncode == 0 and not NOISE.search(done.stderr + done.stdout), (module, done.stderr)
    return done


def train_quietly(folder):
    quick = ["outer.num_steps=2", "validation.episodes=2", "model.backbone_options.filters=4", "train.way=5"]
    config = "--config=configs/prototypical_network_glyphs.py"
    run_quietly("trainers.train", config, f"--workdir={folder}", *[f"--config.{field}" for field in quick])


def test_training_shows_nothing_but_its_own(tmp_path):
    train_quietly(tmp_path / "run")  # whose bar of progress goes to stderr


@pytest.mark.slow
def test_the_other_binaries_of_quickstart_show_nothing_but_their_own(tmp_path):
    folder, export = tmp_path / "run", tmp_path / "export"
    train_quietly(folder)
    for module, *arguments in (
        ("trainers.evaluate", f"--workdir={folder}", "--protocols=5way_1shot", "--episodes=2"),
        ("export.export_model", f"--workdir={folder}", f"--output_dir={export}", "--way=5"),
        ("export.try_export", f"--saved_model={export}/1", f"--picture={tmp_path}/letters.png"),
    ):
        assert run_quietly(module, *arguments).stderr == "", module


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
