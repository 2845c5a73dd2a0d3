"""Evaluates a trained model on seeded test episodes.

python -m trainers.evaluate --workdir=DIR | --preset=NAME [--episodes=1000] [--seed=0] [--protocols=5way_1shot]

Prints the results with their intervals and protocols. In a workdir it also writes evaluation.json, card.md, the results in
model.json, and episode.png.
"""

import json
import os
import pathlib
import sys

from absl import app, flags, logging

from publishing import card, presentations
from publishing.results import describe_protocol, format_result
from trainers import builder, distribute, protocols
from zoo.core.files import write_text
from zoo.datasets.pictures import plot_episode
from zoo.presets.loader import CARD_FILE, from_preset, preset_metadata
from zoo.presets.writer import save_preset_config

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a training run, to evaluate and to write the results into.")
_PRESET = flags.DEFINE_string("preset", None, "Name or folder of a preset, to evaluate without writing anything.")
_EPISODES = flags.DEFINE_integer("episodes", None, "Test episodes per protocol; the config's number when left out.", 1)
_SEED = flags.DEFINE_integer("seed", None, "Seed of the episodes; the config's seed when left out.", 0)
_PROTOCOLS = flags.DEFINE_list("protocols", None, "Names of protocols of the config; all when left out.")
_SUBSET = flags.DEFINE_enum("subset", "test", ("validation", "test"), "Classes to draw from.")


def write_results(workdir, results, tasks):
    """Writes the results and what documents them into a workdir."""
    folder = pathlib.Path(workdir)
    metadata = preset_metadata(folder)
    config = metadata["config"]
    metadata["training"] = protocols.training_cost(folder)
    metadata["results"] = results
    model = from_preset(folder)
    write_text(folder / "evaluation.json", json.dumps(results, indent=1) + "\n")
    write_text(folder / CARD_FILE, card.model_card(folder.resolve().name, metadata, card.count_parameters(model)))
    save_preset_config(model, folder, metadata)
    protocol = config["evaluation"]["protocols"][results[0]["protocol"]]
    plot_episode(folder / "episode.png", *protocols.predict_episode(folder, tasks, protocol, results[0]["seed"]))
    presentations.plot_presentations(folder / "presentations.png", presentations.presentation_curves(results))
    for name in (CARD_FILE, "evaluation.json", "episode.png", "presentations.png", "learning_curve.png"):
        if (folder / name).is_file():
            print(os.path.join(workdir, name))


def main(argv):
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only. Received: {argv[1:]}")
    if (_WORKDIR.value is None) == (_PRESET.value is None):
        raise app.UsageError("Give either --workdir or --preset.")
    source = _WORKDIR.value or _PRESET.value
    try:
        distribute.configure_threads(builder.method_class(preset_metadata(source)["config"]))
        results, tasks = protocols.evaluate_preset(
            source, _SUBSET.value, _EPISODES.value, _SEED.value, _PROTOCOLS.value
        )
        for result in results:
            print(f"{result['protocol']}: {result['metric']} {format_result(result)} ({describe_protocol(result)})")
        if table := presentations.presentations_table(presentations.presentation_curves(results)):
            print(table)
        if _WORKDIR.value:
            write_results(_WORKDIR.value, results, tasks)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    app.run(main)
