"""card.md: what a model is, how it was trained and what it reached, for people."""

import math

import zoo
from publishing.presentations import presentation_curves, presentations_table
from publishing.results import few_classes_remark, format_count, results_table


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
    terms = zoo.datasets.terms(data["name"], data["options"])
    terms = f"- Terms: images under {terms}.\n" if terms else ""
    started = " and ".join(
        f"`{part}`" for part in (config.get("init_from"), config["model"].get("backbone_weights")) if part
    )
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


def _continuation(part):
    return f", and from step {part['step']:,} on `{part['command']}`"


def _presentations_section(results):
    table = presentations_table(presentation_curves(results))
    text = "Accuracy in % when an image of a class is shown for the 1st, 2nd, ... time in an episode, before its label is given:"
    return f"\n{text}\n\n{table}\n" if table else ""
