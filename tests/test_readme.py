"""What README tells people to type."""

import pathlib
import re
import sys

import pytest

import zoo
from publishing import documents, presentations, results

README = pathlib.Path("README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "code", re.findall(r"```python\n(.*?)```", README, re.DOTALL), ids=lambda code: code.split()[1]
)
def test_python_blocks_run(code):
    short = code.replace("steps_per_epoch=100", "steps_per_epoch=2").replace("steps=30", "steps=2")
    names = {}
    exec(compile(short, "README.md", "exec"), names)
    if "logits" in names:
        assert names["logits"].shape == (1, 75, 5)


def test_named_presets_exist_and_every_preset_is_in_the_table():
    for name in re.findall(r"(?:--preset=|from_preset\(\")([a-z0-9_]+)[\" ]", README):
        assert name in zoo.list_presets(), name
    for name in zoo.list_presets():
        assert f"(zoo/presets/{name}/card.md)" in README


def test_every_method_is_in_the_table():
    for name in zoo.METHODS:
        assert f"| [`{name}`](" in README, name


@pytest.mark.parametrize("path", ["README.md", "CONTRIBUTING.md", "docs/serving.md"])
def test_links_lead_somewhere(path):
    path = pathlib.Path(path)
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_documented_modules_and_flags_exist():
    """Every `python -m` line of the documents names a binary that is there, and flags that it defines."""
    for path in ("README.md", "CONTRIBUTING.md", "docs/serving.md"):
        text = pathlib.Path(path).read_text(encoding="utf-8").replace("\\\n", " ")
        for module, arguments in re.findall(
            r"python -m ((?:trainers|publishing|studies|export|benchmarks)\.\w+)([^\n`]*)", text
        ):
            source = pathlib.Path(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
            for flag in re.findall(r"--(\w+)", arguments):
                assert f'"{flag}"' in source, (path, module, flag)


def section(marker):
    (text,) = re.findall(rf"<!-- {marker} -->\n(.*?)\n<!-- /{marker} -->", README, re.DOTALL)
    return text


def test_tables_of_results_are_those_of_the_presets():
    metadata = documents.published_metadata()
    assert section("results") == results.presets_table(metadata)
    assert section("presentations") == presentations.presentations_table(documents.published_presentations(metadata))


def test_tables_were_written_by_their_commands():
    for marker in ("methods", "training_step", "sampler"):
        assert section(marker).count("\n|") >= 4, marker


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
