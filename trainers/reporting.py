"""Writes what an evaluation found into the workdir of its run."""

import importlib.util
import json
import os
import pathlib
import shutil
import tempfile

from publishing import card, presentations
from publishing.methods_table import config_path
from trainers import builder, protocols
from trainers.learning_curve import CURVE_FILE
from trainers.workdir import AD_HOC_FILE, EPISODE_FILE, EVALUATION_FILE, PRESENTATIONS_FILE
from zoo.core.files import write_text
from zoo.datasets.pictures import plot_episode
from zoo.presets.loader import CARD_FILE, WEIGHTS_FILE, from_preset, preset_metadata
from zoo.presets.writer import save_preset_config


def weights_stamp(workdir):
    """What tells whether the weights in a workdir have been replaced."""
    stat = os.stat(pathlib.Path(workdir, WEIGHTS_FILE))
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def write_results(workdir, results, tasks, stamp):
    """Writes results into a workdir.

    The card takes the results of the config's protocols on test classes. What was asked of other counts or classes, or of
    fewer episodes than the card has already, goes to a file of its own; the card keeps the results of the other protocols.

    Raises:
        ValueError: where the weights are no more those of `stamp`, the `weights_stamp` from before the evaluation.
    """
    if stamp != weights_stamp(workdir):
        raise ValueError(
            f"`--workdir` must hold one set of weights while it is evaluated: evaluate again. Received: {workdir}, where a training run "
            "has kept better ones meanwhile"
        )
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


def measure_preset(folder, answers, num_episodes=None):
    """Evaluates a preset by the protocols of its config file, and writes its model.json and card.md.

    Args:
        folder: of the preset, a pathlib.Path.
        answers: arguments of the model to answer with, by name, where training had others; the card tells them.
        num_episodes: per protocol; the config's when None.

    Returns:
        The results.

    Raises:
        ValueError: where the model does not take an argument, or what `protocols.evaluate_preset` refuses.
    """
    metadata = preset_metadata(folder)
    metadata["config"]["evaluation"] = _read_config(config_path(metadata["command"]))["evaluation"]
    if answers:
        metadata["answers"] = {**metadata.get("answers", {}), **answers}
    model = from_preset(folder, **answers)
    with tempfile.TemporaryDirectory() as scratch:
        copy = pathlib.Path(shutil.copytree(folder, pathlib.Path(scratch, folder.name)))
        save_preset_config(model, copy, metadata)
        metadata["results"], _ = protocols.evaluate_preset(copy, num_episodes=num_episodes)
    save_preset_config(model, folder, metadata)
    write_text(folder / CARD_FILE, card.model_card(folder.name, metadata, card.count_parameters(model)))
    return metadata["results"]


def _read_config(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return builder.to_dict(module.get_config())


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
