"""Pictures, tables and cards."""

import matplotlib
import numpy as np

from trainers.workdir import read_metrics
from zoo.presets.loader import write_text

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (after the choice of backend)


def plot_learning_curve(workdir, metric):
    """Writes learning_curve.png: loss and metric of training and validation by step, with the validation interval."""
    records = read_metrics(workdir)
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
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
    pyplot.close(figure)


def plot_episode(path, x, y, outputs):
    """Writes a picture of one episode: the support set, and each query with the model's answer."""
    if outputs.shape[-1] == 1 and y.ndim == 3:
        _plot_regression(path, x, y, outputs)
    else:
        _plot_images(path, x, y[0], outputs[0].argmax(axis=-1))


def _plot_images(path, x, labels, predictions):
    way = labels.max() + 1
    support, queries = x["support_x"][0], x["query_x"][0]
    shot = max(np.bincount(x["support_y"][0]))
    columns = shot + max(np.bincount(labels))
    figure, axes = pyplot.subplots(way, columns, figsize=(0.8 * columns, 0.95 * way + 0.6), layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for label in range(way):
        rows = [(image, None) for image in support[x["support_y"][0] == label]]
        rows += [(image, answer) for image, answer in zip(queries[labels == label], predictions[labels == label])]
        for axis, (image, answer) in zip(axes[label], rows):
            axis.imshow(1 - image.squeeze() if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=1)
            if answer is None:
                axis.set_title(f"class {label}", fontsize=8, color="tab:blue")
            else:
                right = answer == label
                axis.set_title(
                    f"{answer}" if right else f"{answer}, not {label}",
                    fontsize=8,
                    color="tab:green" if right else "tab:red",
                )
    correct = (predictions == labels).sum()
    figure.suptitle(
        f"One row per class: {shot} support image{'s' if shot > 1 else ''} (blue), then queries with the predicted class. "
        f"{correct} of {len(labels)} right",
        fontsize=9,
    )
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _plot_regression(path, x, y, outputs):
    figure, axis = pyplot.subplots(figsize=(6, 4), layout="constrained")
    order = np.argsort(x["query_x"][0, :, 0])
    for values, style, label in ((y, "-", "true function"), (outputs, "--", "model after adaptation")):
        axis.plot(x["query_x"][0, order, 0], values[0, order, 0], style, label=label)
    axis.plot(x["support_x"][0, :, 0], x["support_y"][0, :, 0], "o", label="support")
    axis.set_xlabel("x")
    axis.set_ylabel("y")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def format_figure(figure):
    """Mean and half-width as people write them: 98.8 ± 0.1 % for accuracy, 0.35 ± 0.02 for an error."""
    if figure["metric"] == "accuracy":
        return f"{100 * figure['mean']:.2f} ± {100 * figure['ci95']:.2f} %"
    return f"{figure['mean']:.3f} ± {figure['ci95']:.3f}"


def describe_protocol(figure):
    """Everything that a figure depends on besides the weights, in words."""
    shown = ("protocol", "metric", "mean", "ci95", "dataset", "subset", "episodes", "way", "shot", "query")
    way = f"{figure['way']}-way " if figure["way"] else ""
    settings = ", ".join(f"{name} {value}" for name, value in figure.items() if name not in shown)
    return (
        f"{way}{figure['shot']}-shot, {figure['query']} queries{' per class' if figure['way'] else ''}, "
        f"{figure['episodes']} {figure['subset']} episodes; {settings}"
    )


def figures_table(figures):
    """Figures as a Markdown table."""
    lines = ["| protocol | metric | mean ± 95 % interval | episodes, split, settings |", "|---|---|---|---|"]
    for figure in figures:
        metric = figure["metric"].replace("_", " ")
        lines.append(f"| {figure['protocol']} | {metric} | {format_figure(figure)} | {describe_protocol(figure)} |")
    return "\n".join(lines)


def model_card(name, metadata, num_parameters):
    """card.md of a model: data, command, cost and figures."""
    config, cost = metadata["config"], metadata["training"]
    data = config["dataset"]
    options = ", ".join(f"{key}={value}" for key, value in {**data["options"], **data["train_options"]}.items())
    train = ", ".join(f"{key} {value}" for key, value in config["train"].items() if value is not None)
    return f"""# {name}

{config["model"]["method"]} on a {config["model"]["backbone"]} backbone, {num_parameters:,} parameters.

- Data: {data["name"]}{f" ({options})" if options else ""}, training subset.
- Trained: {cost["steps"]:,} steps of {train}; seed {config["seed"]}; the weights kept are those of step {cost["kept_step"]:,}, the best on
  the validation episodes.
- Command: `{metadata["command"]}`
- Cost: {cost["seconds"] / 60:.1f} minutes, validation included, on {cost["machine"]}; {cost["versions"]}.

The interval is 1.96 standard errors of the mean over episodes.

{figures_table(metadata["figures"])}
"""


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
