"""Trains a plain classifier of the training classes, for few-shot methods to start from.

python -m trainers.pretrain --config=configs/pretrain_NAME.py --workdir=DIR [--config.outer.num_steps=...]

The folder is a training run like others, of a method that needs no more than such a backbone: `trainers.evaluate` and all else
read it. Beside its weights it has backbone.weights.h5, which other configs start from: `--config.model.backbone_weights=DIR`.
"""

from commands import early  # noqa: F401  Ctrl-C during the other imports says one line

# isort: split
import pathlib
import sys

from absl import flags

from commands import calling, launcher, sources
from trainers import run_flags
from trainers.config_overrides import repeating_command

_CONFIG, _WORKDIR, _VIRTUAL_CPUS = run_flags.define_run()
_STRATEGY = flags.DEFINE_enum("strategy", "none", ("none", "mirrored"), "tf.distribute strategy.")
_PRECISION = run_flags.define("precision")


def main():
    sources.check_output_folder(_WORKDIR.value, "--workdir")
    with launcher.imports():
        from trainers import base_classifier, builder, checks, distribute, initial_weights, loop

    config = builder.with_precision(builder.to_dict(_CONFIG.value), _PRECISION.value)
    checks.check_kind(config, "trainers.pretrain")
    try:
        strategy = distribute.make_strategy(_STRATEGY.value, _VIRTUAL_CPUS.value)
        command = repeating_command("trainers.pretrain")
        loop.train(config, _WORKDIR.value, strategy, command, base_classifier.Pretrainer)
    except loop.TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.status)
    print(f"trained: {pathlib.Path(_WORKDIR.value, initial_weights.BACKBONE_FILE)}")
    print(f"next: {calling.command_line('trainers.evaluate', f'--workdir={_WORKDIR.value}')}")


if __name__ == "__main__":
    launcher.run(main, **run_flags.OF_A_RUN)
