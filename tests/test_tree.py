"""Where things live: what CONTRIBUTING says of packages, names and imports."""

import ast
import collections
import itertools
import pathlib
import re
import sys

import pytest

PACKAGES = ("commands", "zoo", "configs", "publishing", "trainers", "studies", "export", "benchmarks")
# What a package may import; tests may import everything.
IMPORTS = {
    "commands": set(),
    "zoo": set(),
    "configs": set(),
    "publishing": {"commands", "zoo"},
    "trainers": {"commands", "zoo", "publishing"},
    "studies": {"commands", "zoo", "publishing", "trainers", "configs"},
    "export": {"commands", "zoo"},
    "benchmarks": {"commands", "zoo", "publishing", "trainers", "configs", "export"},
}


def test_contributing_names_every_binary():
    text = pathlib.Path("CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Add a method")[0]
    for package in ("trainers", "publishing", "studies", "export"):
        for path in modules(package):
            if "\n    launcher.run(" in path.read_text(encoding="utf-8"):
                assert path.stem in text, path


def modules(package):
    return sorted(path for path in pathlib.Path(package).rglob("*.py") if path.name != "__init__.py")


def imported_packages(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name.partition(".")[0] for name in names)


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package):
    for path in modules(package):
        found = set(imported_packages(path)) & set(PACKAGES) - {package}
        assert found <= IMPORTS[package], path


def test_core_imports_no_method():
    for path in modules("zoo/core"):
        assert "_based" not in path.read_text(encoding="utf-8"), path


def test_what_is_slow_to_import_waits_for_its_call():
    """What `import zoo` would bring beyond Keras, which itself imports matplotlib."""
    for path in modules("zoo"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"^(import|from) (scipy|tensorflow_datasets|ml_collections|pandas)\b", text, re.MULTILINE
        ), path


def test_no_two_modules_have_the_same_name():
    by_name = collections.defaultdict(list)
    for package in PACKAGES:
        for path in modules(package):
            by_name[path.stem].append(str(path))
    assert {name: paths for name, paths in by_name.items() if len(paths) > 1} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_is_an_inflection_of_its_neighbour(package):
    """Neither `evaluate` beside `evaluation`, nor `states` beside `task_state`."""
    for first, second in itertools.permutations(modules(package), 2):
        if first.parent == second.parent:
            assert first.stem != second.stem.rpartition("_")[2] + "s", (first, second)
            assert "_" in first.stem + second.stem or first.stem[:6] != second.stem[:6], (first, second)


def test_gates_of_every_lstm_have_the_names_of_lstm_state():
    found = [
        (path, names.split(", "))
        for path in modules("zoo")
        for names in re.findall(r"^ +(\w+(?:, \w+){3}) = tf\.split\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(found) >= 3
    for path, names in found:
        assert sorted(names) == ["f", "i", "o", "u"], path


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
