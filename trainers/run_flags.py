"""Flags that several binaries have, in one wording: `_PRECISION = run_flags.define("precision")`."""

from absl import flags

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
