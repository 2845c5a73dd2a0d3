"""What flags name on disk, checked before anything slow is imported."""

import difflib
import pathlib

from absl import app

PRESETS = pathlib.Path("zoo", "presets")  # from the top of the repository
CONFIG_FILE, WEIGHTS_FILE = "model.json", "model.weights.h5"
_PACKAGED = pathlib.Path(__file__).parents[1] / PRESETS
CONFIGS = pathlib.Path(__file__).parents[1] / "configs"  # those that come with the package
_NO_CONFIGS = ("__init__", "common")
_OF_PATTERNS = set("*?[]\\")


def chosen_source(workdir, preset):
    """The one of --workdir and --preset that is given.

    Raises:
        absl.app.UsageError: for both or neither.
        ValueError: for a workdir without a trained model, or a preset that is not there.
    """
    if (workdir is None) == (preset is None):
        received = "neither" if workdir is None else f"--workdir={workdir} and --preset={preset}"
        raise app.UsageError(f"Give either --workdir or --preset. Received: {received}.")
    if preset is None:
        check_run(workdir)
    else:
        check_preset(preset)
    return workdir or preset


def check_run(workdir):
    """Raises ValueError, with what was found, unless `workdir` is the folder of a run that has weights."""
    folder = pathlib.Path(workdir)
    if not folder.exists():
        found = "no such folder"
    elif not folder.is_dir():
        found = "a file"
    elif not (folder / CONFIG_FILE).is_file():
        found = f"a folder without {CONFIG_FILE}" if any(folder.iterdir()) else "an empty folder"
    elif not (folder / WEIGHTS_FILE).is_file():
        found = f"a run without {WEIGHTS_FILE}, which the first validation writes"
    else:
        return
    raise ValueError(f"`--workdir` must be the folder of a training run. Received: {workdir}, {found}")


def check_preset(name_or_folder):
    """Raises ValueError unless there is such a preset."""
    if not any((path / CONFIG_FILE).is_file() for path in (_PACKAGED / name_or_folder, pathlib.Path(name_or_folder))):
        names = sorted(path.parent.name for path in _PACKAGED.glob(f"*/{CONFIG_FILE}"))
        near = difflib.get_close_matches(pathlib.Path(name_or_folder).name, names)
        raise ValueError(
            f"Expected the name of a preset, or a folder with {CONFIG_FILE}. Received: --preset={name_or_folder}"
            f"{'; near: ' if near else ''}{', '.join(near)}. README.md lists all presets, and so does `ls {PRESETS}`"
        )


def find_config(name):
    """The file of a config: a path that is there; or the name of a config that comes with the package, also as configs/NAME.py, and
    with its words joined in another way.

    Raises:
        ValueError: where there is neither, with the nearest names.
    """
    path = pathlib.Path(name).expanduser()
    if (
        path.is_file() or pathlib.Path(name.partition(":")[0]).is_file()
    ):  # after a colon stands what its get_config takes
        return path
    packaged = {file.stem: file for file in sorted(CONFIGS.glob("*.py")) if file.stem not in _NO_CONFIGS}
    if path.parent.name in ("", CONFIGS.name) and len(path.parts) <= 2 and path.suffix in ("", ".py"):
        # SimpleShot is one word to its authors, and two in names here.
        joined = {stem.replace("_", ""): file for stem, file in packaged.items()}
        if found := joined.get(path.stem.replace("_", "").replace("-", "")):
            return found
    near = difflib.get_close_matches(path.stem, packaged, n=3, cutoff=0.4) or list(packaged)
    raise ValueError(
        f"`--config` must name a config file, or a config that comes with the package, such as {', '.join(near)}. "
        f"Received: {name}"
    )


def check_output_folder(path, flag):
    """Raises ValueError where no folder can be at a path, since it or what should hold it is a file or a link to nothing; or none
    that TensorFlow reads, which takes the path of a checkpoint for a pattern.
    """
    path = pathlib.Path(path)
    if set(str(path)) & _OF_PATTERNS:
        raise ValueError(
            f"`{flag}` must be without the characters {' '.join(sorted(_OF_PATTERNS))} of patterns. Received: {path}"
        )
    there = next(part for part in (path, *path.absolute().parents) if part.exists() or part.is_symlink())
    if not there.is_dir():
        raise _unwritable(path, flag, f"{there} is a {'file' if there.exists() else 'link to nothing'}")


def writable_folder(path, flag):
    """The folder, made where missing.

    Raises:
        ValueError: where it cannot be written; names `flag`, `--workdir`.
    """
    folder = pathlib.Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            (folder / ".writable").write_text("x")  # on a full disk a file without content can be written
        finally:
            (folder / ".writable").unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, flag, error.strerror) from error
    return folder


def check_output_file(path, flag):
    """Raises ValueError where no file can be written at a path; what is there stays. For before what takes long."""
    path = pathlib.Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        return  # a pipe, say, which can be opened once
    try:
        is_new = not path.exists()
        with open(path, "ab"):
            pass
        if is_new:
            path.unlink()
    except OSError as error:
        raise _unwritable(path, flag, error.strerror, "file") from error


def _unwritable(path, flag, reason, kind="folder"):
    return ValueError(f"`{flag}` must be a {kind} that can be written. Received: {path}: {reason}")


def check_folder(path, flag, expected):
    """Raises ValueError unless there is a folder at the path; `expected` says what it should hold."""
    path = pathlib.Path(path)
    if not path.is_dir():
        found = "a file" if path.exists() else "no such folder"
        raise ValueError(f"`{flag}` must be {expected}. Received: {path}, {found}")


def check_repository():
    """Raises ValueError unless the current folder is the top of the repository."""
    missing = [path for path in ("README.md", "docs/results.md", str(PRESETS)) if not pathlib.Path(path).exists()]
    if missing:
        raise ValueError(
            f"The current folder must be the top of the repository. Received: {pathlib.Path.cwd()}, without {missing[0]}"
        )


def check_there(path, flag):
    """Raises ValueError where there is neither a file nor a folder at the path."""
    if not pathlib.Path(path).expanduser().exists():
        raise ValueError(f"`{flag}` must be a file or folder that is there. Received: {path}")
