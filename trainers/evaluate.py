"""Evaluates a trained model on seeded test episodes.

python -m trainers.evaluate --workdir=DIR | --preset=NAME [--episodes=1000] [--seed=0] [--protocols=5way_1shot]
    [--way=10] [--shot=5] [--query=15] [--task_loop=auto|map|batched]

Prints the results with their intervals and protocols. In a workdir it also writes evaluation.json, card.md, the results in
model.json, and episode.png. What --way, --shot or --query change, validation classes, and fewer episodes than the card has,
are written to ad_hoc_evaluation.json instead.
"""

from commands import early  # noqa: F401  Ctrl-C during the other imports says one line

# isort: split
from absl import flags

from commands import launcher, path_flags, sources
from trainers import run_flags

_WORKDIR = path_flags.define("workdir", "Folder of a training run, to evaluate and to write the results into.")
_PRESET = path_flags.define("preset", "Name or folder of a preset, to evaluate without writing anything.")
_EPISODES = flags.DEFINE_integer("episodes", None, "Test episodes per protocol; the config's number when left out.", 1)
_SEED = flags.DEFINE_integer("seed", None, "Seed of the episodes; the config's seed when left out.", 0)
_PROTOCOLS = flags.DEFINE_list("protocols", None, "Names of protocols of the config; all when left out.")
_WAY = flags.DEFINE_list("way", None, "Classes per task, 5 or 3,5 (3 to 5), in place of what the protocols say.")
_SHOT = flags.DEFINE_list("shot", None, "Support images per class, 1 or 1,3, in place of what the protocols say.")
_QUERY = flags.DEFINE_integer("query", None, "Queries per class in place of what the protocols say.", 1)
_TASK_LOOP = run_flags.define("task_loop")
_SUBSET = flags.DEFINE_enum("subset", "test", ("validation", "test"), "Classes to draw from.")


def _count(flag, parts):
    """The count of a flag, an int or (lowest, highest). Raises ValueError for anything else."""
    if parts is None:
        return None
    if not 1 <= len(parts) <= 2 or not all(part.strip().isdecimal() for part in parts):
        raise ValueError(
            f"`--{flag}` must be a number, 5, or the lowest and the highest, 3,5. Received: {','.join(parts)}"
        )
    numbers = tuple(int(part) for part in parts)
    return numbers if len(numbers) == 2 else numbers[0]


def main():
    way, shot = _count("way", _WAY.value), _count("shot", _SHOT.value)
    source = sources.chosen_source(_WORKDIR.value, _PRESET.value)
    with launcher.imports():
        from publishing import presentations
        from publishing.results import describe_protocol, few_classes_remark, format_result, with_additional
        from trainers import builder, distribute, protocols, reporting
        from zoo.core import task_loop
        from zoo.presets.loader import training_config

    if _WORKDIR.value:
        sources.writable_folder(_WORKDIR.value, "--workdir")
        protocols.training_cost(_WORKDIR.value)
        stamp = reporting.weights_stamp(_WORKDIR.value)
    task_loop.set_task_loop(_TASK_LOOP.value)
    distribute.configure_threads(builder.method_class(training_config(source)))
    results, tasks = protocols.evaluate_preset(
        source,
        _SUBSET.value,
        _EPISODES.value,
        _SEED.value,
        _PROTOCOLS.value,
        way=way,
        shot=shot,
        query=_QUERY.value,
    )
    for result in with_additional(results):
        print(f"{result['protocol']}: {result['metric']} {format_result(result)} ({describe_protocol(result)})")
    if remark := few_classes_remark(results):
        print(remark)
    if table := presentations.presentations_table(presentations.presentation_curves(results)):
        print(table)
    if _WORKDIR.value:
        reporting.write_results(_WORKDIR.value, results, tasks, stamp)


if __name__ == "__main__":
    launcher.run(main, terminated="terminated")
