"""Writes what an evaluation found into the workdir of its run."""

import json
import pathlib

from publishing import card, presentations
from trainers import protocols
from trainers.learning_curve import CURVE_FILE
from trainers.workdir import AD_HOC_FILE, EPISODE_FILE, EVALUATION_FILE, PRESENTATIONS_FILE
from zoo.core.files import write_text
from zoo.datasets.pictures import plot_episode
from zoo.presets.loader import CARD_FILE, from_preset, preset_metadata
from zoo.presets.writer import save_preset_config


def write_results(workdir, results, tasks):
    """Writes results into a workdir.

    The card takes the results of the config's protocols on test classes. What was asked of other counts or classes, or of
    fewer episodes than the card has already, goes to a file of its own; the card keeps the results of the other protocols.
    """
    folder = pathlib.Path(workdir)
    metadata = preset_metadata(folder)
    protocols_of_card = metadata["config"]["evaluation"]["protocols"]
    by_name = {result["protocol"]: result for result in metadata.get("results", [])}
    fit = [result for result in results if _fits_card(result, protocols_of_card, by_name.get(result["protocol"]))]
    ad_hoc = [result for result in results if result not in fit]
    if fit:
        by_name |= {result["protocol"]: result for result in fit}
        metadata["results"] = [by_name[name] for name in protocols_of_card if name in by_name]
        write_card(folder, metadata, fit[0], tasks)
    if ad_hoc:
        write_text(folder / AD_HOC_FILE, json.dumps(ad_hoc, indent=1) + "\n")
    for name in (CARD_FILE, EVALUATION_FILE, EPISODE_FILE, PRESENTATIONS_FILE, CURVE_FILE) if fit else ():
        if (folder / name).is_file():
            print(folder / name)
    if ad_hoc:
        names = ", ".join(result["protocol"] for result in ad_hoc)
        print(f"{folder / AD_HOC_FILE}: {names}; the card does not show them")


def _fits_card(result, protocols_of_card, before):
    """Whether a result belongs into the card, where `before` may stand."""
    if result["protocol"] not in protocols_of_card or result["subset"] != "test":
        return False
    return before is None or before["episodes"] <= result["episodes"]


def write_card(folder, metadata, shown, tasks):
    """Writes card.md, evaluation.json, model.json and the pictures; the episode is one of the protocol of `shown`."""
    model, results = from_preset(folder), metadata["results"]
    metadata["training"] = protocols.training_cost(folder)
    write_text(folder / EVALUATION_FILE, json.dumps(results, indent=1) + "\n")
    write_text(folder / CARD_FILE, card.model_card(folder.resolve().name, metadata, card.count_parameters(model)))
    save_preset_config(model, folder, metadata)
    protocol = metadata["config"]["evaluation"]["protocols"][shown["protocol"]]
    plot_episode(folder / EPISODE_FILE, *protocols.predict_episode(folder, tasks, protocol, shown["seed"]))
    presentations.plot_presentations(folder / PRESENTATIONS_FILE, presentations.presentation_curves(results))
