"""Measures which share of a training step is spent waiting for its episodes. Run on a quiet machine.

python -m benchmarks.input_wait --config=configs/prototypical_network_mini_imagenet_5way_1shot.py [--steps=30] [--config.FIELD=...]

Prints milliseconds of a step and of its waiting, and the share, after a warm-up. To be below 2 %.
"""

import time

from absl import flags
from ml_collections import config_flags

from commands import launcher
from trainers.config_overrides import parse_flags

_CONFIG = config_flags.DEFINE_config_file("config", None, "Config file; its fields are flags.")
_STEPS = flags.DEFINE_integer("steps", 30, "Steps to measure.", 1)

_WARM_UP = 5


def waiting(batches, step, num_steps):
    """(seconds spent waiting for batches, seconds in all) of `num_steps` steps, after some that do not count."""
    iterator, waited, start = iter(batches), 0.0, 0.0
    for number in range(_WARM_UP + num_steps):
        asked = time.perf_counter()
        if number == _WARM_UP:
            start, waited = asked, 0.0
        batch = next(iterator)
        waited += time.perf_counter() - asked
        step(batch)
    return waited, time.perf_counter() - start


def main():
    with launcher.imports():
        import tensorflow as tf

        from trainers import builder, checks, distribute

    config = builder.to_dict(_CONFIG.value)
    checks.check_kind(config, "trainers.train")
    distribute.configure_threads(builder.method_class(config))
    tasks, part = builder.build_tasks(config["dataset"], "train"), config["train"]
    model = builder.build_model(builder.with_input_shape(config, tasks))
    model.compile(optimizer=builder.build_optimizer(config["outer"]))
    train_step = tf.function(model.train_step, autograph=False)

    def step(batch):
        float(train_step(batch)["loss"])  # until it is there

    waited, total = waiting(builder.episodes(tasks, part, config["seed"], part["tasks"]), step, _STEPS.value)
    step_ms, waited_ms = (1000 * seconds / _STEPS.value for seconds in (total, waited))
    print(f"{step_ms:.1f} ms a step, {waited_ms:.2f} ms of them waiting for episodes: {waited / total:.2%}")


if __name__ == "__main__":
    launcher.run(main, required=["config"], parse=parse_flags)
