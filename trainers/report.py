"""Pictures, tables and cards."""

import math

from matplotlib.figure import Figure

from trainers.workdir import read_metrics
from zoo.presets.loader import CARD_FILE, write_text

NOT_SHIPPED = "weights not shipped"  # what a card says of weights that are too large


def plot_learning_curve(workdir, metric):
    """Writes learning_curve.png: loss and metric of training and validation by step, with the validation interval."""
    records = read_metrics(workdir)
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, name in zip(axes, ("loss", metric)):
        for prefix, label, style in (("", "training", {"alpha": 0.6}), ("validation_", "validation", {"marker": "."})):
            points = [
                (r["step"], r[prefix + name], r.get(f"{prefix}{name}_ci95", 0.0)) for r in records if prefix + name in r
            ]
            if points:
                steps, values, widths = zip(*points)
                errors = widths if prefix and any(widths) else None
                axis.errorbar(steps, values, errors, label=label, linewidth=1, **style)
        axis.set_xlabel("training step")
        axis.set_ylabel(name.replace("_", " "))
        axis.grid(alpha=0.3)
        axis.legend()
    if metric != "accuracy":
        for axis in axes:
            axis.set_yscale("log")
    figure.savefig(f"{workdir}/learning_curve.png", dpi=120)


def presentation_curves(figures):
    """{protocol: [(accuracy, half-width), ...] at the 1st, 2nd, ... presentation of a class}, of the figures that have it."""
    return {figure["protocol"]: figure["presentations"] for figure in figures if "presentations" in figure}


def plot_presentations(path, curves):
    """Writes a PNG of accuracy by presentation with its intervals, one curve per name; nothing where there is none."""
    if not curves:
        return
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axis = figure.subplots()
    for name, values in curves.items():
        means, widths = zip(*values)
        numbers = range(1, len(values) + 1)
        axis.errorbar(numbers, [100 * m for m in means], [100 * w for w in widths], label=name, marker=".", capsize=3)
    axis.set_xlabel("presentation of a class in the episode")
    axis.set_ylabel("accuracy, %")
    axis.set_ylim(0, 100)
    axis.grid(alpha=0.3)
    figure.legend(loc="outside upper center")  # names of presets are long
    figure.savefig(path, dpi=120)


def presentations_table(curves):
    """Accuracy by presentation as a Markdown table, a row per name; empty where there is no curve."""
    if not curves:
        return ""
    columns = max(map(len, curves.values()))
    lines = [_row("presentation", *range(1, columns + 1)), "|---" * (columns + 1) + "|"]
    for name, values in curves.items():
        cells = [f"{100 * mean:.1f} ± {100 * ci95:.1f}" for mean, ci95 in values]
        lines.append(_row(name, *cells, *[""] * (columns - len(cells))))
    return "\n".join(lines)


def _row(*cells):
    return f"| {' | '.join(map(str, cells))} |"


def format_figure(figure):
    """Mean and half-width as people write them: 98.8 ± 0.1 % for accuracy, 0.35 ± 0.02 for an error."""
    if figure["metric"] == "accuracy":
        return f"{100 * figure['mean']:.2f} ± {100 * figure['ci95']:.2f} %"
    return f"{figure['mean']:.3f} ± {figure['ci95']:.3f}"


def describe_protocol(figure):
    """Everything that a figure depends on besides the weights, in words."""
    shown = (
        "protocol",
        "metric",
        "mean",
        "ci95",
        "dataset",
        "subset",
        "episodes",
        "way",
        "shot",
        "query",
        "presentations",
    )
    way = f"{figure['way']}-way " if figure["way"] else ""
    settings = ", ".join(f"{name} {value}" for name, value in figure.items() if name not in shown)
    queries = f"{figure['query']} {'query' if figure['query'] == 1 else 'queries'}"
    queries += " per class" if figure["way"] else ""
    return f"{way}{figure['shot']}-shot, {queries}, {figure['episodes']} {figure['subset']} episodes; {settings}"


def figures_table(figures):
    """Figures as a Markdown table."""
    lines = ["| protocol | metric | mean ± 95 % interval | episodes, split, settings |", "|---|---|---|---|"]
    for figure in figures:
        metric = figure["metric"].replace("_", " ")
        lines.append(f"| {figure['protocol']} | {metric} | {format_figure(figure)} | {describe_protocol(figure)} |")
    return "\n".join(lines)


def card_link(folder, metadata):
    """Link to the card of a preset, or of a model whose weights stayed out."""
    remark = " (card only)" if metadata.get("weights") == NOT_SHIPPED else ""
    return f"[{folder.name}]({folder / CARD_FILE}){remark}"


def presets_table(metadata_by_folder):
    """Every figure of every preset as a Markdown table, protocol and training cost beside it."""
    lines = ["| preset | protocol | figure | how it was measured | training |", "|---|---|---|---|---|"]
    for folder, metadata in metadata_by_folder.items():
        cost = metadata["training"]
        training = f"{cost['steps']:,} steps, {cost['seconds'] / 60:.1f} min"
        for figure in metadata["figures"]:
            value = f"**{format_figure(figure)}** {figure['metric'].replace('_', ' ')}"
            card = card_link(folder, metadata)
            lines.append(f"| {card} | {figure['protocol']} | {value} | {describe_protocol(figure)} | {training} |")
    return "\n".join(lines)


def count_parameters(model):
    """Trainable numbers of a model."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def model_card(name, metadata, num_parameters):
    """card.md of a model: data, command, cost and figures."""
    config, cost = metadata["config"], metadata["training"]
    data = config["dataset"]
    options = ", ".join(f"{key}={value}" for key, value in {**data["options"], **data["train_options"]}.items())
    train = ", ".join(f"{key} {value}" for key, value in config["train"].items() if value is not None)
    weights = f", {metadata['weights']}" if "weights" in metadata else ""
    return f"""# {name}

{config["model"]["method"]} on a {config["model"]["backbone"]} backbone, {num_parameters:,} parameters{weights}.

- Data: {data["name"]}{f" ({options})" if options else ""}, training subset.
- Trained: {cost["steps"]:,} steps of {train}; seed {config["seed"]}; the weights kept are those of step {cost["kept_step"]:,}, the best on
  the validation episodes.
- Command: `{metadata["command"]}`
- Cost: {cost["seconds"] / 60:.1f} minutes, validation included, on {cost["machine"]}; {cost["versions"]}.

The interval is 1.96 standard errors of the mean over episodes.

{figures_table(metadata["figures"])}
{_presentations_section(metadata["figures"])}"""


def _presentations_section(figures):
    table = presentations_table(presentation_curves(figures))
    text = "Accuracy in % when an image of a class is shown for the 1st, 2nd, ... time in an episode, before its label is given:"
    return f"\n{text}\n\n{table}\n" if table else ""


def replace_section(path, marker, text):
    """Replaces what stands between `<!-- marker -->` and `<!-- /marker -->` in a file.

    Raises:
        ValueError: where the file lacks the markers.
    """
    start, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    with open(path, encoding="utf-8") as file:
        content = file.read()
    before, found_start, rest = content.partition(start)
    _, found_end, after = rest.partition(end)
    if not (found_start and found_end):
        raise ValueError(
            f"{path} must contain {start} and {end}. Received: {'no start' if not found_start else 'no end'}"
        )
    write_text(path, f"{before}{start}\n{text}\n{end}{after}")
