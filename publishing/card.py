"""card.md: what a model is, how it was trained and what it reached, for people."""

import math

import zoo
from publishing.presentations import presentation_curves, presentations_table
from publishing.results import few_classes_remark, format_count, results_table
from zoo.presets.loader import training_config


def count_parameters(model):
    """Trainable numbers of a model."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def model_card(name, metadata, num_parameters):
    """card.md of a model: data, command, cost and results."""
    config, cost = metadata["config"], metadata["training"]
    data = config["dataset"]
    options = ", ".join(f"{key}={value}" for key, value in {**data["options"], **data["train_options"]}.items())
    train = ", ".join(f"{key} {format_count(value)}" for key, value in config["train"].items() if value is not None)
    command = "".join([f"`{metadata['command']}`", *map(_continuation, metadata.get("continued", []))])
    answers = ", ".join(f"{name}={value}" for name, value in metadata.get("answers", {}).items())
    answers = f"- Answers with {answers}, in place of what it was trained with.\n" if answers else ""
    terms = _terms(config)
    terms = f"- Terms: {terms}.\n" if terms else ""
    started = " and ".join(f"`{part}`" for part in _sources(config))
    started = f"- Started from the weights of {started}.\n" if started else ""
    few = few_classes_remark(metadata["results"])
    weights = f", {metadata['weights']}" if "weights" in metadata else ""
    return f"""# {name}

{config["model"]["method"]} on a {config["model"]["backbone"]} backbone, {num_parameters:,} parameters{weights}.

- Data: {data["name"]}{f" ({options})" if options else ""}, training subset.
{terms}{started}- Trained: {cost["steps"]:,} steps of {train}; seed {config["seed"]}; the weights kept are those of step {cost["kept_step"]:,}, the best on
  the validation episodes.
- Command: {command}
{answers}- Cost: {cost["seconds"] / 60:.1f} minutes, validation included, on {cost["machine"]}; {cost["versions"]}.

The interval is 1.96 standard errors of the mean over episodes.{f" {few}" if few else ""}

{results_table(metadata["results"])}
{_presentations_section(metadata["results"])}"""


def _sources(config):
    """The presets, workdirs and files that a run started from."""
    return [part for part in (config.get("init_from"), config["model"].get("backbone_weights")) if part]


def _terms(config, generations=5):
    """The terms of the images that a model has seen, or that the weights it started from had, as far as these are there."""
    own = zoo.datasets.terms(config["dataset"]["name"], config["dataset"]["options"])
    if own:
        return f"images under {own}"
    if config["model"].get("backbone_options", {}).get("weights") == "imagenet":
        return f"started from weights of images under {zoo.datasets.TERMS['imagenet']}"
    for source in _sources(config) if generations else ():
        try:
            terms = _terms(training_config(source), generations - 1)
        except (ValueError, KeyError):  # a file, a folder that is gone, or one that `save_preset` wrote
            continue
        if terms:
            return f"started from weights of {terms.removeprefix('started from weights of ')}"
    return None


def _continuation(part):
    return f", and from step {part['step']:,} on `{part['command']}`"


def _presentations_section(results):
    table = presentations_table(presentation_curves(results))
    text = "Accuracy in % when an image of a class is shown for the 1st, 2nd, ... time in an episode, before its label is given:"
    return f"\n{text}\n\n{table}\n" if table else ""
