"""How people call the binaries: `python -m trainers.train`, or `metazoa train` where the package is installed."""

import shlex

# Binaries that the console command runs. The others are for maintainers, in the repository.
MODULES = {
    "show": "publishing.show_classes",
    "train": "trainers.train",
    "pretrain": "trainers.pretrain",
    "evaluate": "trainers.evaluate",
    "export": "export.export_model",
    "try": "export.try_export",
    "classify": "export.classify",
    "freeze": "export.freeze_model",
}
CONSOLE = "metazoa"
_called = {"by_console": False}


def set_called_by_console():
    """From now on texts say `metazoa train` in place of `python -m trainers.train`."""
    _called["by_console"] = True


def command_line(module, *arguments):
    """The command that runs a binary with these arguments, as this process was called, quoted for a shell.

    Example:
        >>> command_line("trainers.evaluate", "--workdir=my runs/1")
        "python -m trainers.evaluate '--workdir=my runs/1'"
    """
    return f"{_start(module)} {shlex.join(arguments)}" if arguments else _start(module)


def in_own_words(text):
    """A text with `python -m MODULE` as this process was called."""
    for module in MODULES.values():
        text = text.replace(f"python -m {module}", _start(module))
    return text


def _start(module):
    names = [name for name, of_name in MODULES.items() if of_name == module]
    return f"{CONSOLE} {names[0]}" if _called["by_console"] and names else f"python -m {module}"
