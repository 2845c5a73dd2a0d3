"""BUILD files say what is there: a target for every module, and among its deps every module and package that it imports.

BUILD files are read as Python, whose syntax Starlark shares. What only Bazel knows, such as files that tests read, needs Bazel.
"""

import ast
import pathlib
import re
import sys

import pytest

FOLDERS = ("benchmarks", "commands", "configs", "export", "publishing", "studies", "tests", "trainers", "zoo")
# Imported where a function is called: modules that import this one, to which a dep would close a circle, and a package that
# is no requirement.
LATER = {
    "//export:export": {"//export:frozen", "//export:saved_model"},
    "//export:litert": {"@pypi//ai_edge_litert:ai_edge_litert"},
    "//zoo/core:few_shot_model": {"//zoo/presets:writer", "//zoo:picture_classifier"},
}
# What packages are called where it is not what they are imported as.
PACKAGES = {
    "PIL": "pillow",
    "absl": "absl_py",
    "fontTools": "fonttools",
    "google": "protobuf",
    "grpc": "grpcio",
    "tensorflow_serving": "tensorflow_serving_api",
}


def read_targets():
    """{label: (its modules' paths, its deps)} of all py_* targets."""
    targets = {}
    for build in sorted(path for folder in FOLDERS for path in pathlib.Path(folder).rglob("BUILD")):
        folder = build.parent.as_posix()
        for node in ast.parse(build.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.Expr) or not ast.unparse(node.value.func).startswith("py_"):
                continue
            values = {word.arg: word.value for word in node.value.keywords}
            srcs, deps = (ast.literal_eval(values[name]) if name in values else [] for name in ("srcs", "deps"))
            label = f"//{folder}:{ast.literal_eval(values['name'])}"
            targets[label] = ([f"{folder}/{source}" for source in srcs], {whole(dep, folder) for dep in deps})
    return targets


def whole(label, folder=""):
    """A label with its folder and its name: `:b` in folder a is `//a:b`, and `//a/b` is `//a/b:b`."""
    if label.startswith(":"):
        return f"//{folder}{label}"
    return label if ":" in label else f"{label}:{label.rpartition('/')[2]}"


def imported(path):
    """The names of what a module imports: `a.b.c` for `from a.b import c`, whether c is a module or not."""
    for node in ast.walk(ast.parse(pathlib.Path(path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def started(path):
    """The names of the modules that a test starts as binaries, or reads: those that stand in a text of their own, paths too."""
    for node in ast.walk(ast.parse(pathlib.Path(path).read_text(encoding="utf-8"))):
        text = str(node.value) if isinstance(node, ast.Constant) else ""
        text = text.rpartition("=")[2].removesuffix(".py").replace("/", ".")  # --config=configs/maml_sinusoid.py, say
        if re.fullmatch(r"(\w+\.)+\w+", text) and f"{text.replace('.', '/')}.py" in OWNERS:
            yield text


TARGETS = read_targets()
OWNERS = {path: label for label, (paths, _) in TARGETS.items() for path in paths}


def owner(name):
    """The label of the module or package that `a.b.c` is or is in; None for Python's own."""
    package = name.partition(".")[0]
    if package not in FOLDERS:
        return None if package in sys.stdlib_module_names else whole(f"@pypi//{PACKAGES.get(package, package)}")
    while name:
        path = name.replace(".", "/")
        if label := OWNERS.get(f"{path}.py") or OWNERS.get(f"{path}/__init__.py"):
            return label
        name = name.rpartition(".")[0]
    return None


def test_every_module_has_a_target():
    modules = {path.as_posix() for folder in FOLDERS for path in pathlib.Path(folder).rglob("*.py")}
    # The peers of the comparison run in an environment of their own.
    assert modules - set(OWNERS) == {f"benchmarks/contenders/with_{peer}.py" for peer in ("jax", "pytorch")}
    assert set(OWNERS) <= modules


@pytest.mark.parametrize("folder", FOLDERS)
def test_deps_have_every_module_that_is_imported(folder):
    lacking = {}
    for label, (paths, deps) in TARGETS.items():
        if label[2:].replace(":", "/").split("/")[0] == folder:
            names = [name for path in paths for name in imported(path)]
            names += [name for path in paths for name in started(path) if folder == "tests"]
            needed = {owner(name) for name in names} - {None, label}
            lacking[label] = sorted(needed - deps - LATER.get(label, set()))
    assert lacking and {label: labels for label, labels in lacking.items() if labels} == {}


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
