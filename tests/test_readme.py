"""What README and the documents tell people to type, and the tables in them."""

import os
import pathlib
import re
import sys

import pytest

import zoo
from commands import calling
from publishing import documents

README = pathlib.Path("README.md").read_text(encoding="utf-8")
DOCUMENTS = [pathlib.Path("README.md"), pathlib.Path("CONTRIBUTING.md"), *sorted(pathlib.Path("docs").rglob("*.md"))]
CODE = [
    pytest.param(code, id=f"{path}-{number}")
    for path in ("README.md", "docs/training.md")
    for number, code in enumerate(
        re.findall(r"```python\n(.*?)```", pathlib.Path(path).read_text(encoding="utf-8"), re.DOTALL)
    )
]


def table_rows(text):
    return [line for line in text.splitlines() if line.startswith("|")]


def test_readme_is_a_first_page():
    assert len(README.encode()) <= 8192
    rows = table_rows(README)
    assert README.count("\n|---") == 1 and {row.count(" |") for row in rows[2:]} == {4}  # one table of four columns
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert sum(bool(line) for line in code.splitlines()) <= 10


@pytest.mark.parametrize("code", CODE)
def test_python_blocks_run(code, capsys):
    short = code.replace("steps_per_epoch=100", "steps_per_epoch=2").replace("steps=30", "steps=2")
    names = {}
    exec(compile(short, "document", "exec"), names)
    if "logits" in names:
        assert names["logits"].shape == (1, 75, 5) and float(capsys.readouterr().out) > 0.9


def test_every_method_and_preset_is_in_the_table():
    for name in zoo.METHODS:
        assert f"| [`{name}`](" in README, name
    for name in zoo.list_presets():
        assert f"| `{name}` |" in README


def test_named_presets_exist():
    for path in DOCUMENTS:
        for name in re.findall(r"(?:--preset=|from_preset\(\")([a-z0-9_]+)[\" ]", path.read_text(encoding="utf-8")):
            assert name in zoo.list_presets(), (path, name)


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_every_document_is_linked():
    """From README, over any number of steps."""
    reached, waiting = set(), [pathlib.Path("README.md")]
    while waiting:
        path = waiting.pop()
        if path not in reached and path.suffix == ".md":
            reached.add(path)
            targets = re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text(encoding="utf-8"))
            waiting += [pathlib.Path(os.path.normpath(path.parent / target)) for target in targets]
    assert reached >= set(DOCUMENTS)


def defining_flags(module):
    """The code in which a binary defines its flags."""
    source = pathlib.Path(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
    shared = pathlib.Path("trainers/run_flags.py").read_text(encoding="utf-8").partition("def define_run")[2]
    return source + shared if "run_flags.define_run()" in source else source


def test_documented_modules_and_flags_exist():
    """Every `python -m` line of the documents names a binary that is there, and flags that it defines."""
    packages = "trainers|publishing|studies|export|benchmarks"
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        for module, arguments in re.findall(rf"python -m ((?:{packages})\.\w+)([^\n`]*)", text):
            source = defining_flags(module)
            for flag in re.findall(r"--(\w+)", arguments):
                assert f'"{flag}"' in source, (path, module, flag)
        for command, arguments in re.findall(r"^\s*metazoa (\w+)([^\n`]*)", text, re.MULTILINE):
            source = defining_flags(calling.MODULES[command])
            for flag in re.findall(r"--(\w+)", arguments):
                assert f'"{flag}"' in source, (path, command, flag)


def section(document, marker):
    text = pathlib.Path(document).read_text(encoding="utf-8")
    (found,) = re.findall(rf"<!-- {marker} -->\n(.*?)\n<!-- /{marker} -->", text, re.DOTALL)
    return found


def test_tables_are_those_of_the_presets():
    """Cell by cell: nothing in them was typed by hand."""
    for (document, marker), text in documents.tables(documents.published_metadata()).items():
        assert section(document, marker) == text, (document, marker)


def test_tables_of_times_were_written_by_their_commands():
    for marker in ("training_step", "task_convolutions", "episode_rate"):
        assert section("docs/performance.md", marker).count("\n|") >= 4, marker


def test_makefile_and_contributing_agree_about_minutes():
    minutes = [
        re.search(pattern, pathlib.Path(path).read_text(encoding="utf-8"))[1]
        for path, pattern in (
            ("Makefile", r"the tests \(about (\d+) minutes"),
            ("CONTRIBUTING.md", r"`make test` takes about (\d+) minutes"),
        )
    ]
    assert minutes[0] == minutes[1]


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
