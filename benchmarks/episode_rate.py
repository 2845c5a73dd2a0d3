"""Times the episode sampler on one core: images per second of CPU time.

python -m benchmarks.episode_rate [--dataset=glyphs|omniglot] [--document=docs/performance.md]
"""

import time

from absl import flags

from commands import launcher, path_flags

_DATASET = flags.DEFINE_enum("dataset", "glyphs", ("glyphs", "omniglot"), "Data set to draw from.")
_DOCUMENT = path_flags.define("document", "File to write the table into, between its episode_rate marks.")

CASES = {
    "60-way 1-shot, 5 queries, 1 task": {"way": 60, "shot": 1, "query": 5, "num_tasks": 1},
    "5-way 1-shot, 15 queries, 4 tasks": {"way": 5, "shot": 1, "query": 15, "num_tasks": 4},
    "5-way 1-shot, 1 query, 32 tasks": {"way": 5, "shot": 1, "query": 1, "num_tasks": 32},
}
_BATCHES = 300


def images_per_second(tasks, counts):
    """Images per second of CPU time, after a warm-up."""
    iterator = iter(tasks.episodes(seed=0, **counts))
    for _ in range(10):
        next(iterator)
    start = time.process_time()
    for _ in range(_BATCHES):
        next(iterator)
    images = _BATCHES * counts["num_tasks"] * counts["way"] * (counts["shot"] + counts["query"])
    return images / (time.process_time() - start)


def main():
    with launcher.imports():
        import tensorflow as tf

        from publishing import markdown
        from zoo import datasets

    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    # Turned classes are the slower case: one gather more.
    options = {"rotations": True} if _DATASET.value == "omniglot" else {}
    tasks = datasets.load(_DATASET.value, "train", **options)
    rows = []
    for name, counts in CASES.items():
        rows.append([name, f"{images_per_second(tasks, counts):,.0f}"])
        print(markdown.row(*rows[-1]), flush=True)
    if _DOCUMENT.value:
        table = markdown.table([f"episodes of {_DATASET.value}", "images per second of one core"], rows)
        markdown.replace_section(_DOCUMENT.value, "episode_rate", table)


if __name__ == "__main__":
    launcher.run(main)
