"""The picture of how a run learned."""

from matplotlib.figure import Figure

from trainers.workdir import read_metrics
from zoo.core.files import save_picture
from zoo.core.metrics import lower_is_better

CURVE_FILE = "learning_curve.png"


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
    if lower_is_better(metric):  # errors fall over decades
        for axis in axes:
            axis.set_yscale("log")
    save_picture(figure, f"{workdir}/{CURVE_FILE}")
