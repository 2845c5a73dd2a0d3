"""Times exported models: 5-way 1-shot with 15 and 75 queries a task, per method, signature, tasks a request and threads.

python -m benchmarks.serving [--presets=NAME,...] [--threads=1,1x2,2] [--document=docs/serving.md] [--csv=docs/serving.csv]

Each preset is exported, and timed in a process of its own per number of threads, through the Python runtime of
TensorFlow: the graph is the server's, the network and the queue of a server are not part of it. Run on a quiet machine.
"""

import csv
import functools
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import flags

from commands import launcher, path_flags

_PRESETS = flags.DEFINE_list("presets", None, "Presets to time; all classifiers that ship when left out.")
_THREADS = flags.DEFINE_list(
    "threads", ["1", "1x2", "2"], "Numbers of threads; 1x2: one for each operation, and two operations side by side."
)
_DOCUMENT = path_flags.define("document", "File to write the table into, between its serving marks.")
_CSV = path_flags.define("csv", "File for every measurement.")
_CHILD = flags.DEFINE_string("child", None, "Times this SavedModel in this process and prints JSON.")

TASKS = (1, 4, 16)
QUERIES = (15, 75)  # a task; 75 are the 15 per class of the papers' episodes
_WAY = 5
_ROUNDS, _SECONDS_PER_TURN = 5, 0.1
_FIELDS = ("preset", "threads", "signature", "queries", "tasks", "median_ms", "p99_ms", "tasks_per_second")


def random_images(*shape):
    """Only their number and size cost time."""
    return np.random.default_rng(0).random(shape, np.float32)


def support_of(input_shape, num_tasks):
    return {
        "support_images": random_images(num_tasks, _WAY, *input_shape),
        "support_labels": np.tile(np.arange(_WAY), (num_tasks, 1)),
    }


def time_calls(calls):
    """Seconds of each call of each name, after one that is not counted.

    The calls take turns, so that what else the machine does in the meantime falls on all of them: {name: function} -> {name: list}.
    """
    seconds = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(_ROUNDS):
        for name, call in calls.items():
            end = time.perf_counter() + _SECONDS_PER_TURN
            while (start := time.perf_counter()) < end:
                call()
                seconds[name].append(time.perf_counter() - start)
    return seconds


def time_export(folder, threads):
    """Measurements of one SavedModel, and the first call without and with its warm-up requests replayed."""
    with launcher.imports():
        import tensorflow as tf

    within, _, between = threads.partition("x")
    tf.config.threading.set_intra_op_parallelism_threads(int(within))
    tf.config.threading.set_inter_op_parallelism_threads(int(between or within))
    from export import client, serving_files
    from export.sidecar import read_sidecar

    input_shape = read_sidecar(folder)["input_shape"]
    request = {**support_of(input_shape, 1), "query_images": random_images(1, max(QUERIES), *input_shape)}
    first = {}
    for name in ("cold", "warm"):
        local = client.LocalClient(folder)
        if name == "warm":
            for signature, inputs in serving_files.read_warmup(folder).items():
                local.call(signature, inputs)
        start = time.perf_counter()
        local.call("adapt_and_predict", request)
        first[name] = time.perf_counter() - start
    calls = {}
    for tasks in TASKS:
        support = support_of(input_shape, tasks)
        state = local.call("adapt", support)["task_state"]
        calls["adapt", 0, tasks] = functools.partial(local.call, "adapt", support)
        for queries in QUERIES:
            images = {"query_images": random_images(tasks, queries, *input_shape)}
            inputs = {"predict": {"task_state": state, **images}, "adapt_and_predict": {**support, **images}}
            for signature, values in inputs.items():
                calls[signature, queries, tasks] = functools.partial(local.call, signature, values)
    rows = []
    for (signature, queries, tasks), seconds in time_calls(calls).items():
        median, p99 = statistics.median(seconds), float(np.percentile(seconds, 99))
        rows.append([signature, queries, tasks, 1000 * median, 1000 * p99, tasks / median])
    return {"first": first, "rows": rows}


def table(measured):
    """The measurements of adapt_and_predict as a Markdown table."""
    from publishing import markdown

    tasks = ", ".join(map(str, TASKS))
    titles = ["preset", "threads"]
    for queries in QUERIES:
        titles += [f"{queries} queries: median (99th percentile)", f"tasks/s with {tasks} tasks a request"]
    rows = []
    for preset, threads, timing in measured:
        timed = {(row[1], row[2]): row[3:] for row in timing["rows"] if row[0] == "adapt_and_predict"}
        cells = [preset, threads]
        for queries in QUERIES:
            median, p99, _ = timed[queries, 1]
            cells += [f"{median:.1f} ms ({p99:.1f})", ", ".join(f"{timed[queries, n][2]:.0f}" for n in TASKS)]
        rows.append([*cells, f"{timing['first']['cold']:.2f} s, {timing['first']['warm']:.3f} s"])
    queries = " and ".join(map(str, QUERIES))
    machine = f"Measured on {os.cpu_count()} CPU cores ({platform.machine()}): 5-way 1-shot, {queries} queries a task."
    return f"{markdown.table([*titles, 'first call, warmed up'], rows)}\n\n{machine}"


def write(measured):
    """Brings the files of --csv and --document up to date."""
    from publishing.markdown import replace_section

    if _CSV.value:
        with open(_CSV.value, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(_FIELDS)
            for preset, threads, timing in measured:
                writer.writerows(
                    [preset, threads, *row[:3], *(f"{value:.3f}" for value in row[3:])] for row in timing["rows"]
                )
    if _DOCUMENT.value:
        replace_section(_DOCUMENT.value, "serving", table(measured))


def main():
    if _CHILD.value:
        print(json.dumps(time_export(_CHILD.value, _THREADS.value[0])))
        return
    with launcher.imports():
        import zoo
        from export import saved_model
        from export.way_and_ink import load_with_way
        from zoo.presets.loader import preset_folder

    for threads in _THREADS.value:
        if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)?", threads):
            raise ValueError(f"`--threads` must be numbers, or pairs like 1x2. Received: {threads}")
    presets = _PRESETS.value or zoo.list_presets()
    for preset in presets:
        preset_folder(preset)  # an unknown one is refused before others are timed
    measured = []
    with tempfile.TemporaryDirectory() as scratch:
        for preset in presets:
            model = load_with_way(preset)
            if model.target_size is not None:
                continue
            if type(model) is zoo.MAML:  # the number of steps that the papers compare by
                model, preset = load_with_way(preset, num_inner_steps_test=5), f"{preset}, 5 steps"
            folder = saved_model.export(model, os.path.join(scratch, str(len(measured))), allow_transductive=True)
            for threads in _THREADS.value:
                command = [sys.executable, "-m", "benchmarks.serving", f"--child={folder}", f"--threads={threads}"]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                measured.append((preset, threads, json.loads(done.stdout.splitlines()[-1])))
                print(table(measured[-1:]).splitlines()[2], flush=True)
            write(measured)  # after each preset, so that an interrupted run leaves what it measured


if __name__ == "__main__":
    launcher.run(main)
