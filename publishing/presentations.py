"""Accuracy by presentation of a class in an episode, as a table and as a picture."""

from matplotlib.figure import Figure

from publishing import markdown
from zoo.core.files import save_picture


def presentation_curves(results):
    """{protocol: [(accuracy, half-width), ...] at the 1st, 2nd, ... presentation of a class}, of the results that have it."""
    return {result["protocol"]: result["presentations"] for result in results if "presentations" in result}


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
    save_picture(figure, path)


def presentations_table(curves):
    """Accuracy by presentation as a Markdown table, a row per name; empty where there is no curve."""
    if not curves:
        return ""
    columns = max(map(len, curves.values()))
    rows = (
        [name, *(f"{100 * mean:.1f} ± {100 * ci95:.1f}" for mean, ci95 in values)] for name, values in curves.items()
    )
    return markdown.table(["presentation", *range(1, columns + 1)], rows)
