"""Flags that name a file or folder: `_WORKDIR = path_flags.define("workdir", "Folder of the run.")`."""

import os

from absl import flags

flags.disclaim_key_flags()  # they are those of the module that asks for them


class _PathParser(flags.ArgumentParser):
    """`~` is the home folder: shells leave it as it is within `--workdir=~/runs/1`."""

    syntactic_help = "a path, in which ~ is the home folder"

    def parse(self, argument):
        return os.path.expanduser(argument)

    def flag_type(self):
        return "path"


def define(name, text, flag_values=flags.FLAGS):
    """Defines a flag whose value is a path, a str, or None when left out; returns its holder."""
    return flags.DEFINE(_PathParser(), name, None, text, flag_values)
