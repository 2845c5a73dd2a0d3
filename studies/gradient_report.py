"""Tables and plots of gradient terms and of gradient combinations."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from publishing import markdown
from studies.gradient_measurements import slopes
from zoo.core.files import save_picture

_WEIGHTS_OF_B = {"MAML": "2(k-1) alpha", "FOMAML": "(k-1) alpha", "Reptile": "(k-1)/2 alpha"}
_EXPECTED = {"MAML": "A - 2(k-1) alpha B", "FOMAML": "A - (k-1) alpha B", "Reptile": "k A - k(k-1)/2 alpha B"}
_COLOURS = {"MAML": "tab:blue", "FOMAML": "tab:orange", "Reptile": "tab:green"}
_MARKERS = {"MAML": "o", "FOMAML": "s", "Reptile": "^"}
_STEP_COLOURS = {1: "black", 2: "tab:blue", 3: "tab:orange", 4: "tab:green"}


def setting_in_words(setting):
    """The setting of a measurement as one line."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in setting.items())


# ---- terms


def terms_document(setting, result):
    """gradient_terms.md: the terms, and the errors of the expansions by alpha."""
    return f"""# Gradient terms of MAML, FOMAML and Reptile

{setting_in_words(setting)}.

Nichol, Achiam, Schulman 2018, section 5: A is the mean gradient of a minibatch (joint training), B half the gradient of the inner
product of the gradients of two different minibatches of one task; a step against -B raises that product. "±" is one standard
error over tasks.

{_terms_table(result["terms"])}

{_formulas_table()}

## Error of the leading order

|exact direction - leading order| / |exact direction|, mean over tasks. The slope is d log(error) / d log(alpha) from one alpha
to the next: 2 where the error is of second order, 1 for the constant alone. A kink of the loss (ReLU, max-pooling) has no
part in the second derivative: while the inner steps cross kinks the error is larger, and falls steeply where they no longer do.

One order of the minibatches:

{_errors_table(result["errors"], "expansion", "constant")}

Mean over all orders, against the forms in A and B:

{_errors_table(result["errors"], "expected", "expected_constant")}
"""


def _terms_table(terms):
    rows = [
        ("length of A, mean over tasks first", terms["mean_A"]["length"], terms["mean_A"]["standard_error_length"]),
        ("length of B, mean over tasks first", terms["mean_B"]["length"], terms["mean_B"]["standard_error_length"]),
        ("length of A of one task", *terms["length_A_per_task"]),
        ("length of B of one task", *terms["length_B_per_task"]),
        ("cosine of A and B of one task", *terms["cosine_per_task"]),
        ("inner product of two minibatch gradients of one task", *terms["agreement"]),
    ]
    cells = [[name, f"{value:.4g} ± {error:.2g}"] for name, value, error in rows]
    cells.append(["cosine of the mean A and the mean B", f"{terms['cosine_of_means']:.4g}"])
    return markdown.table(["quantity", "value"], cells)


def _formulas_table():
    rows = ([name, _EXPECTED[name], weight] for name, weight in _WEIGHTS_OF_B.items())
    return markdown.table(["method", "expected direction", "weight of B beside A"], rows)


def _errors_table(errors, comparison, constant):
    methods = list(errors)
    titles = ["alpha", *(title for method in methods for title in (method, "slope", "constant alone"))]
    all_slopes = {method: [*slopes(errors[method], comparison), None] for method in methods}
    rows = []
    for i, record in enumerate(errors[methods[0]]):
        cells = [f"{record['alpha']:g}"]
        for method in methods:
            mean, error = errors[method][i][comparison]
            slope = all_slopes[method][i]
            shown = "" if slope is None else f"{slope:.2f}"
            cells += [f"{mean:.2e} ± {error:.0e}", shown, f"{errors[method][i][constant][0]:.2e}"]
        rows.append(cells)
    return markdown.table(titles, rows)


def plot_terms(path, result):
    """Writes a PNG: relative error by alpha, log-log, for one order and for the mean over all orders.

    Without intervals, which log axes distort; the tables have them.
    """
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    panels = (
        ("one order of the minibatches", "expansion", "constant"),
        ("mean over all orders: the forms in A and B", "expected", "expected_constant"),
    )
    for axis, (title, comparison, constant) in zip(axes, panels):
        for method, records in result["errors"].items():
            alphas = [record["alpha"] for record in records]
            style = dict(color=_COLOURS[method], marker=_MARKERS[method], markersize=5)
            for name, words, line in (
                (comparison, "with the term in alpha", {"linestyle": "-"}),
                (constant, "constant alone", {"linestyle": ":", "fillstyle": "none"}),
            ):
                means = [record[name][0] for record in records]
                label = f"{method}, {words}: slope {slopes(records, name)[-1]:.2f}"
                axis.plot(alphas, means, label=label, **style, **line)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_title(title)
        axis.set_xlabel("inner step size alpha")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, loc="lower right")
    axes[0].set_ylabel("|direction - leading order| / |direction|")
    figure.suptitle("Error of the leading order (slopes between the two smallest alphas)", fontsize=11)
    save_picture(figure, path)


# ---- combinations


def combinations_document(setting, records, combinations, metric):
    """gradient_combinations.md: the metric of every combination by outer iteration."""
    rows = (
        [combination.name, *(_format(record["results"][combination.name], metric) for record in records)]
        for combination in combinations
    )
    table = markdown.table(["outer update", *(record["iteration"] for record in records)], rows)
    return f"""# Outer updates from inner gradients

{setting_in_words(setting)}.

Nichol, Achiam, Schulman 2018, section 6.2: g1 alone is joint training, the last gradient alone is FOMAML, the sum is Reptile. The
{metric.replace("_", " ")}{" in %" if metric == "accuracy" else ""} after adaptation, by outer iteration, with its 95 % interval over the test episodes, which are the same in every cell.
Steps fall linearly to 0. The paper trains for 40,000 iterations with an inner step size of 0.003.

{table}

{records[-1]["iteration"]:,} iterations in {records[-1]["seconds"] / 60:.1f} minutes, evaluations included.
"""


def _format(result, metric):
    mean, ci95 = result
    return f"{100 * mean:.1f} ± {100 * ci95:.1f}" if metric == "accuracy" else f"{mean:.3f} ± {ci95:.3f}"


def plot_combinations(path, records, combinations, metric):
    """Writes a PNG: one curve per combination; colour by the number of inner gradients, line by how they are combined."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axis = figure.subplots()
    scale = 100 if metric == "accuracy" else 1
    iterations = [record["iteration"] for record in records]
    for position, combination in enumerate(combinations):
        num_steps = len(combination.coefficients)
        alone = sum(combination.coefficients) == 1
        style = ":" if alone and num_steps > 1 else "--" if combination.name.startswith("(") else "-"
        means, widths = zip(*(record["results"][combination.name] for record in records))
        values, errors = [scale * mean for mean in means], [scale * width for width in widths]
        colour = _STEP_COLOURS[num_steps]
        axis.plot(iterations, values, style, color=colour, marker=".", label=combination.name)
        # Only the last interval, beside the others: those of all points would cover the curves.
        beside = iterations[-1] * (1 + 0.01 * (position + 1))
        axis.errorbar([beside], values[-1:], errors[-1:], color=colour, marker=".", alpha=0.6, linewidth=1)
    axis.set_title("the last point of each curve again, with its 95 % interval, on the right", fontsize=9)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("outer iteration")
    axis.set_ylabel(f"{metric.replace('_', ' ')}{', %' if metric == 'accuracy' else ''} after adaptation")
    axis.grid(alpha=0.3)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="outer update")
    save_picture(figure, path)
