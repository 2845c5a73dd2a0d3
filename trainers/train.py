"""Trains a model of the zoo.

python -m trainers.train --config=configs/NAME.py --workdir=DIR [--config.outer.learning_rate=...]
"""

from commands import early  # noqa: F401  Ctrl-C during the other imports says one line

# isort: split
import sys

from absl import flags

from commands import calling, launcher, sources
from trainers import run_flags
from trainers.config_overrides import repeating_command

_CONFIG, _WORKDIR, _VIRTUAL_CPUS = run_flags.define_run()
_STRATEGY = flags.DEFINE_enum("strategy", "none", ("none", "mirrored", "multi_worker"), "tf.distribute strategy.")
_WORKER_TIMEOUT = flags.DEFINE_integer(
    "worker_timeout", 300, "Seconds that a worker of --strategy=multi_worker waits for the others to start.", 1
)
_TASK_LOOP = run_flags.define("task_loop")
_PRECISION = run_flags.define("precision")


def main():
    sources.check_output_folder(_WORKDIR.value, "--workdir")
    with launcher.imports():
        from trainers import builder, checks, distribute, loop
        from zoo.core import task_loop

    config = builder.with_precision(builder.to_dict(_CONFIG.value), _PRECISION.value)
    checks.check_kind(config, "trainers.train")
    task_loop.set_task_loop(_TASK_LOOP.value)
    try:
        distribute.configure_threads(builder.method_class(config))
        strategy = distribute.make_strategy(_STRATEGY.value, _VIRTUAL_CPUS.value, _WORKER_TIMEOUT.value)
        loop.train(config, _WORKDIR.value, strategy, repeating_command("trainers.train"))
    except loop.TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.status)
    print(f"trained: {_WORKDIR.value}")
    print(f"next: {calling.command_line('trainers.evaluate', f'--workdir={_WORKDIR.value}')}")


if __name__ == "__main__":
    launcher.run(main, **run_flags.OF_A_RUN)
