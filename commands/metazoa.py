"""The console command: `metazoa COMMAND --flags...` does what `python -m` of the command's binary does, from any folder.

metazoa --help          the commands
metazoa train --help    the flags of one
"""

from commands import early  # noqa: F401  Ctrl-C during the other imports says one line

# isort: split
import ast
import difflib
import os
import pathlib
import runpy
import sys

from commands.calling import CONSOLE, MODULES, set_called_by_console

_ROOT = pathlib.Path(__file__).parents[1]
_HELP = ("--help", "-help", "-h", "-?", "--helpshort", "--helpfull", "help")


def main(argv=None):
    """Runs the binary that the first argument names, with the others; ends the process as the binary does.

    The current folder is no place to import from: what lies in it, such as a `configs` of the user's own, is not this package's.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if not arguments or arguments[0] in _HELP:
        print(_usage())
        sys.exit(0 if arguments else 1)
    name, *rest = arguments
    if name not in MODULES:
        near = difflib.get_close_matches(name, MODULES, n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        sys.exit(f"error: Expected a command, one of {', '.join(MODULES)}. {hint}Received: {name!r}")
    sys.path[:] = [entry for entry in sys.path if not _is_current_folder(entry)]
    set_called_by_console()
    sys.argv = [f"{CONSOLE} {name}", *rest]
    runpy.run_module(MODULES[name], run_name="__main__", alter_sys=True)


def _is_current_folder(entry):
    there = pathlib.Path(entry or os.curdir).resolve()
    return there == pathlib.Path.cwd().resolve() and there != _ROOT.resolve()


def _usage():
    width = max(map(len, MODULES))
    lines = [f"  {name:{width}}  {_first_line(module)}" for name, module in MODULES.items()]
    return "\n".join([f"usage: {CONSOLE} COMMAND --flags...    ({CONSOLE} COMMAND --help shows the flags)", "", *lines])


def _first_line(module):
    """What a binary says of itself; read, for an import may take seconds."""
    source = _ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(source)).partition("\n")[0]


if __name__ == "__main__":
    main()
