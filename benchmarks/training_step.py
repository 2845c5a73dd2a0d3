"""Times training steps as the training binary runs them: the same loop, episodes included. Run on a quiet machine.

python -m benchmarks.training_step [--cases=maml_5_steps,...] [--task_loop=batched] [--document=docs/performance.md]

Each case runs in a process of its own, since its threads are set when TensorFlow starts: once with one thread for each
operation and once with all of them, and the trainers' choice, `one_thread_per_op` of the method, is marked. Prints, per case,
the first call (tracing included) and the median over 6 calls of 20 steps each; with --document it writes the table there.
"""

import itertools
import json
import statistics
import subprocess
import sys
import time
import types

from absl import flags

from benchmarks import row_configs, rows
from commands import launcher, path_flags
from trainers import run_flags

_CASES = flags.DEFINE_list("cases", None, "Cases to time; all when left out.")
_TASK_LOOP = run_flags.define("task_loop")
_DOCUMENT = path_flags.define("document", "File to write the table into, between its training_step marks.")
_CHILD = flags.DEFINE_string("child", None, "Times this case in this process and prints JSON.")
_ONE_THREAD_PER_OP = flags.DEFINE_bool("one_thread_per_op", None, "Of --child: in place of what its method says.")

_STEPS = 20
_CALLS = 6


# Those that peers are timed beside, and MAML as its preset of Omniglot was trained.
CASES = {
    **{name: rows.ROWS[name] for name in ("maml_5_steps", "maml_1_step", "protonet")},
    "maml_strided": {
        **rows.ROWS["maml_1_step"],
        "label": "MAML second order, strided Conv-4, 1 step, 32 tasks, 1 query",
        "network": {**rows.ROWS["maml_1_step"]["network"], "name": "strided_conv4"},
    },
}


def time_case(name, one_thread_per_op):
    """Seconds of the first call, and of each later call per step; and whether trainers choose these threads."""
    with launcher.imports():
        import tensorflow as tf

        from trainers import builder, distribute, loop
        from zoo.core import task_loop

    task_loop.set_task_loop(_TASK_LOOP.value)
    config = builder.to_dict(row_configs.get_config(CASES[name]))
    chosen = builder.method_class(config).one_thread_per_op
    distribute.configure_threads(types.SimpleNamespace(one_thread_per_op=one_thread_per_op))
    trainer = loop.Trainer(config, tf.distribute.get_strategy())
    start = time.perf_counter()
    trainer.train_until(1)
    first = time.perf_counter() - start
    steps = []
    for _ in range(_CALLS):
        start = time.perf_counter()
        trainer.train_until(trainer.steps_done + _STEPS)
        steps.append((time.perf_counter() - start) / _STEPS)
    return {"first": first, "steps": steps, "chosen": one_thread_per_op == chosen}


def _cells(name, one_thread_per_op, timing):
    case = CASES[name]
    median, fastest, slowest = (f(timing["steps"]) for f in (statistics.median, min, max))
    spread = f"{median:.3f} s ({fastest:.3f} to {slowest:.3f})"
    threads = f"{'one' if one_thread_per_op else 'all'}{', the default' if timing['chosen'] else ''}"
    return [case["label"], threads, f"{timing['first']:.1f} s", spread, f"{case['tasks'] / median:.1f}"]


def main():
    if _CHILD.value:
        print(json.dumps(time_case(_CHILD.value, _ONE_THREAD_PER_OP.value)))
        return
    unknown = sorted(set(_CASES.value or ()) - set(CASES))
    if unknown:
        raise ValueError(f"`--cases` must be among {sorted(CASES)}. Received: {unknown}")
    with launcher.imports():
        from publishing import markdown
        from trainers import distribute

    table_rows = []
    for name, one_thread_per_op in itertools.product(_CASES.value or CASES, (True, False)):
        threads = f"--{'' if one_thread_per_op else 'no'}one_thread_per_op"
        command = [
            sys.executable,
            "-m",
            "benchmarks.training_step",
            f"--child={name}",
            threads,
            f"--task_loop={_TASK_LOOP.value}",
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:  # it has said why
            sys.exit(done.returncode)
        table_rows.append(_cells(name, one_thread_per_op, json.loads(done.stdout.splitlines()[-1])))
        print(markdown.row(*table_rows[-1]), flush=True)
    if _DOCUMENT.value:
        table = markdown.table(
            ["training step", "threads of an operation", "first call", "a step: median (range)", "tasks per second"],
            table_rows,
        )
        machine = f"Measured on {distribute.describe_machine()}, episodes drawn from glyphs."
        markdown.replace_section(_DOCUMENT.value, "training_step", f"{table}\n\n{machine}")


if __name__ == "__main__":
    launcher.run(main)
