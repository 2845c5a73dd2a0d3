"""Writes what an evaluation found into the workdir of its run."""

import json
import os
import pathlib

from publishing import card, presentations
from trainers import protocols
from zoo.core.files import write_text
from zoo.datasets.pictures import plot_episode
from zoo.presets.loader import CARD_FILE, from_preset, preset_metadata
from zoo.presets.writer import save_preset_config


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
