"""Flags that several binaries have, in one wording: `_PRECISION = run_flags.define("precision")`."""

from absl import flags
from ml_collections import config_flags

from commands import path_flags
from trainers.config_overrides import parse_flags

_CONTINUES = "the same command continues from the last checkpoint"
# Of `launcher.run`, for the binaries that have the flags of `define_run`.
OF_A_RUN = {
    "required": ["config", "workdir"],
    "parse": parse_flags,
    "interrupted": f"interrupted: {_CONTINUES}",
    "terminated": f"terminated: {_CONTINUES}",
}

flags.disclaim_key_flags()  # they are those of the module that asks for them

# name -> (choices, of which the first is the default; help)
_CHOICES = {
    "precision": (
        ("float32", "mixed_bfloat16", "mixed_float16"),
        "What the layers of the backbone compute in; weights, losses and the rest of the method are float32.",
    ),
    "task_loop": (
        ("auto", "map", "batched"),
        "Tasks of methods that adapt by gradients: one after the other, or all at once, as auto has it on an accelerator.",
    ),
}


def define(name):
    """Defines the flag of that name, and returns its holder."""
    choices, text = _CHOICES[name]
    return flags.DEFINE_enum(name, choices[0], choices, text)


def define_run():
    """Defines `--config`, `--workdir` and `--num_virtual_cpus` of the binaries that train, and returns their holders."""
    return (
        config_flags.DEFINE_config_file(
            "config", None, "Config file or name of a config; its fields are flags: --config.outer.num_steps=100."
        ),
        path_flags.define("workdir", "Folder of the run. An interrupted run there is continued."),
        flags.DEFINE_integer(
            "num_virtual_cpus", 0, "Split the CPU into so many devices, to try --strategy=mirrored.", lower_bound=0
        ),
    )
