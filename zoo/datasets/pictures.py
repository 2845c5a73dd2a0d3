"""Pictures of episodes."""

import numpy as np
from matplotlib.figure import Figure


def plot_episode(path, x, y, outputs):
    """Writes a picture of an episode's first task: the support set, and each query with the model's answer.

    Args:
        path: of the PNG.
        x, y: arrays in the wire format, images [T, rows, H, W, C] or points [T, rows, 1].
        outputs: the model's logits [T, Q, way] (or probabilities), or values [T, Q, 1] for regression.
    """
    if y.ndim == 3:
        _plot_regression(path, x, y, outputs)
    else:
        _plot_images(path, x, y[0], outputs[0].argmax(axis=-1))


def _plot_images(path, x, labels, predictions):
    way = labels.max() + 1
    support, queries = x["support_x"][0], x["query_x"][0]
    shot = max(np.bincount(x["support_y"][0]))
    columns = shot + max(np.bincount(labels))
    figure = Figure(figsize=(max(0.8 * columns, 4.5), 0.95 * way + 0.6), layout="constrained")
    axes = figure.subplots(way, columns, squeeze=False)
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
        f"{correct} of {len(labels)} queries right\n(support set blue, then queries with their prediction)", fontsize=9
    )
    figure.savefig(path, dpi=120)


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
    figure.savefig(path, dpi=120)
