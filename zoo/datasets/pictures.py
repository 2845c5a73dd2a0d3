"""Pictures of episodes."""

import warnings

import numpy as np
from matplotlib.figure import Figure

from zoo.core.files import save_picture

_NAME_WIDTH = 13  # characters of a name above an image


def plot_episode(path, x, y, outputs, names=None):
    """Writes a picture of an episode's first task: the support set, and each query with the model's answer.

    Args:
        path: of the PNG.
        x, y: arrays in the wire format, images [T, rows, H, W, C] or points [T, rows, 1]. Rows of label -1 are padding.
        outputs: the model's logits [T, Q, way] (or probabilities), or values [T, Q, 1] for regression.
        names: name of the class of each label; the labels themselves when None.
    """
    if y.ndim == 3:
        _plot_regression(path, x, y, outputs)
    else:
        answers = outputs[0].argmax(axis=-1)
        names = names or [str(label) for label in range(1 + max(x["support_y"][0].max(), y[0].max(), answers.max()))]
        _plot_images(path, x, y[0], answers, names)


def _plot_images(path, x, labels, predictions, names):
    support, queries = x["support_x"][0], x["query_x"][0]
    support_labels, shown = x["support_y"][0], labels >= 0
    way = 1 + max(support_labels.max(), labels.max())
    counts = [np.bincount(part[part >= 0], minlength=way).max() for part in (support_labels, labels)]
    columns = sum(counts)
    figure = Figure(figsize=(max(1.0 * columns, 4.5), 1.1 * way + 0.6), layout="constrained")
    axes = figure.subplots(way, columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for label in range(way):
        for axis, image in zip(axes[label], support[support_labels == label]):
            _show(axis, image, _short(names[label]), "tab:blue")
        of_class = labels == label
        for axis, image, answer in zip(axes[label, counts[0] :], queries[of_class], predictions[of_class]):
            right = answer == label
            # What is no class of this task, as a model of more outputs may say, has its number.
            answered = _short(names[answer] if answer < len(names) else str(answer))
            title = answered if right else f"{answered},\nnot {_short(names[label])}"
            _show(axis, image, title, "tab:green" if right else "tab:red")
    correct = (predictions == labels)[shown].sum()
    figure.suptitle(
        f"{correct} of {shown.sum()} queries right\n(support set blue, then queries with their prediction)", fontsize=9
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a name in a script that it lacks
        save_picture(figure, path)


def _show(axis, image, title, color):
    axis.imshow(1 - image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=1)
    axis.set_title(title, fontsize=7, color=color, parse_math=False)


def _short(name):
    """A name that fits above its image: "Armenian/U+0533" without the group before it, others without their beginning."""
    while len(name) > _NAME_WIDTH and "/" in name:
        name = name.partition("/")[2]
    return name if len(name) <= _NAME_WIDTH else f"\N{HORIZONTAL ELLIPSIS}{name[1 - _NAME_WIDTH :]}"


def _plot_regression(path, x, y, outputs):
    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    order = np.argsort(x["query_x"][0, :, 0])
    for values, style, label in ((y, "-", "true function"), (outputs, "--", "model after adaptation")):
        axis.plot(x["query_x"][0, order, 0], values[0, order, 0], style, label=label)
    axis.plot(x["support_x"][0, :, 0], x["support_y"][0, :, 0], "o", label="support")
    axis.set_xlabel("x")
    axis.set_ylabel("y")
    axis.grid(alpha=0.3)
    axis.legend()
    save_picture(figure, path)
