"""BUILD files say what is there: a target for every module, and among its deps and data what it imports and reads.

BUILD files are read as Python, whose syntax Starlark shares. Only Bazel misses a file whose name is put together from parts.
"""

import ast
import os
import pathlib
import re
import sys

import pytest

FOLDERS = ("benchmarks", "commands", "configs", "export", "publishing", "studies", "tests", "trainers", "zoo")
# Imported where a function is called: modules that import this one, to which a dep would close a circle, and a package that
# is no requirement.
LATER = {
    "//export:litert": {"@pypi//ai_edge_litert:ai_edge_litert"},
    "//zoo/core:few_shot_model": {"//zoo/presets:writer"},
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
    """{label: {"modules": paths, "files": paths, "deps": labels, "data": labels, "tags": texts}}: all srcs are files, and those of
    py_* targets are modules too.
    """
    targets = {}
    for build in sorted(path for folder in (*FOLDERS, "docs") for path in pathlib.Path(folder).rglob("BUILD")):
        folder = build.parent
        for node in ast.parse(build.read_text(encoding="utf-8")).body:
            words = {word.arg: word.value for word in node.value.keywords} if isinstance(node, ast.Expr) else {}
            if "name" in words:
                srcs, deps, data, tags = (listed(words.get(name), folder) for name in ("srcs", "deps", "data", "tags"))
                files = [f"{folder}/{source}" for source in srcs]
                targets[f"//{folder}:{words['name'].value}"] = {
                    "modules": files if ast.unparse(node.value.func).startswith("py_") else [],
                    "files": files,
                    "deps": {whole(dep, folder) for dep in deps},
                    "data": {whole(label if label.startswith(("/", ":")) else f":{label}", folder) for label in data},
                    "tags": tags,
                }
    return targets


def listed(node, folder):
    """The items of a list, or the files that a glob finds."""
    if isinstance(node, ast.Call):
        found = [path for pattern in listed(node.args[0], folder) for path in folder.glob(pattern)]
        return [path.relative_to(folder).as_posix() for path in found]
    return ast.literal_eval(node) if node else []


def whole(label, folder=""):
    """A label with its folder and its name: `:b` in folder a is `//a:b`, and `//a/b` is `//a/b:b`."""
    if label.startswith(":"):
        return f"//{folder}{label}"
    return label if ":" in label else f"{label}:{label.rpartition('/')[2]}"


def files_of(label, visited):
    """The paths of a label that is a file, or of what a target brings with it and `visited` does not have."""
    if label in visited or label.startswith("@"):
        return
    visited.add(label)
    target = TARGETS.get(label, {"files": [label[2:].replace(":", "/").removeprefix("/")], "deps": (), "data": ()})
    yield from target["files"]
    for other in (*target["deps"], *target["data"]):
        yield from files_of(other, visited)


def imported(path):
    """The names of what a module imports: `a.b.c` for `from a.b import c`, whether c is a module or not."""
    for node in ast.walk(ast.parse(pathlib.Path(path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def read_files(path):
    """The paths that a module names whole: pathlib.Path("a"), what its glob finds, and what lies beside the module."""
    text = pathlib.Path(path).read_text(encoding="utf-8")
    for names, glob, pattern in re.findall(r'pathlib\.Path\(((?:"[^"]*"(?:, )?)*)\)(?:\.(r?glob)\("(.*?)"\))?', text):
        named = pathlib.Path(*ast.literal_eval(f"[{names}]"))
        yield from getattr(named, glob)(pattern) if glob else [named]
    yield from (pathlib.Path(path).with_name(name) for name in re.findall(r'__file__\)\.with_name\("(.*?)"\)', text))


def started(path):
    """The names of the modules that a test starts as binaries, or reads: those that stand in a text of their own, paths too."""
    for node in ast.walk(ast.parse(pathlib.Path(path).read_text(encoding="utf-8"))):
        text = str(node.value) if isinstance(node, ast.Constant) else ""
        text = text.rpartition("=")[2].removesuffix(".py").replace("/", ".")  # --config=configs/maml_sinusoid.py, say
        if re.fullmatch(r"(\w+\.)+\w+", text) and f"{text.replace('.', '/')}.py" in OWNERS:
            yield text


TARGETS = read_targets()
OWNERS = {path: label for label, target in TARGETS.items() for path in target["modules"]}


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
    for label, target in TARGETS.items():
        if label[2:].replace(":", "/").split("/")[0] == folder:
            names = [name for path in target["modules"] for name in imported(path)]
            names += [name for path in target["modules"] for name in started(path) if folder == "tests"]
            needed = {owner(name) for name in names} - {None, label}
            lacking[label] = sorted(needed - target["deps"] - LATER.get(label, set()))
    assert lacking and {label: labels for label, labels in lacking.items() if labels} == {}


def test_what_methods_import_later_comes_with_the_zoo():
    labels = set()
    assert list(files_of("//zoo:zoo", labels)) and LATER["//zoo/core:few_shot_model"] <= labels


def test_targets_have_the_files_that_they_read():
    lacking, read = {}, set()
    for label, target in TARGETS.items():
        if "manual" not in target["tags"]:
            named = {file for path in target["modules"] for file in read_files(path)}
            found = {file.as_posix() for file in named if file.is_file() and not file.is_absolute()}
            lacking[label] = sorted(found - set(files_of(label, set())))
            read |= found
    assert read >= {"README.md", "docs/own_pictures.md", "tests/export/localhost.pem"}
    assert {label: files for label, files in lacking.items() if files} == {}


def test_the_test_of_documents_has_what_they_name():
    named = set()
    for path in map(pathlib.Path, ("README.md", "CONTRIBUTING.md", *pathlib.Path("docs").rglob("*.md"))):
        text = path.read_text(encoding="utf-8")
        named |= {f"{module.replace('.', '/')}.py" for module in re.findall(r"python -m (\w+\.\w+)", text)}
        named |= {os.path.normpath(path.parent / target) for target in re.findall(r"\]\((?!http)([^)#]+)\)", text)}
    found = {path for path in named if pathlib.Path(path).is_file()}
    assert len(found) > 100 and found - set(files_of("//tests:test_readme", set())) == set()


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
