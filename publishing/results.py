"""Results in words, and their tables."""

from publishing import markdown
from zoo.presets.loader import CARD_FILE

NOT_SHIPPED = "weights not shipped"  # what a card says of weights that are too large


def format_result(result):
    """Mean and half-width as people write them: 98.8 ± 0.1 % for accuracy, 0.35 ± 0.02 for an error."""
    if result["metric"] == "accuracy":
        return f"{100 * result['mean']:.2f} ± {100 * result['ci95']:.2f} %"
    return f"{result['mean']:.3f} ± {result['ci95']:.3f}"


def describe_protocol(result):
    """Everything that a result depends on besides the weights, in words."""
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
    way = f"{result['way']}-way " if result["way"] else ""
    settings = ", ".join(f"{name} {value}" for name, value in result.items() if name not in shown)
    queries = f"{result['query']} {'query' if result['query'] == 1 else 'queries'}"
    queries += " per class" if result["way"] else ""
    return f"{way}{result['shot']}-shot, {queries}, {result['episodes']} {result['subset']} episodes; {settings}"


def results_table(results):
    """Results as a Markdown table."""
    rows = (
        [result["protocol"], result["metric"].replace("_", " "), format_result(result), describe_protocol(result)]
        for result in results
    )
    return markdown.table(["protocol", "metric", "mean ± 95 % interval", "episodes, split, settings"], rows)


def is_transductive(result):
    """Whether the queries of the result were asked together and changed each other's answers."""
    return result["batch_norm_mode"] == "transductive"


def leading_result(results):
    """The first result for queries that are answered each alone, as users ask them; the first of all where there is none."""
    return next((result for result in results if not is_transductive(result)), results[0])


def card_link(folder, metadata, document):
    """Link from a document to the card of a preset, or of a model whose weights stayed out."""
    remark = " (card only)" if metadata.get("weights") == NOT_SHIPPED else ""
    return markdown.link(folder.name, folder / CARD_FILE, document) + remark


def presets_table(metadata_by_folder, document):
    """Every result of every preset as a Markdown table, protocol and training cost beside it."""
    rows = []
    for folder, metadata in metadata_by_folder.items():
        cost = metadata["training"]
        training = f"{cost['steps']:,} steps, {cost['seconds'] / 60:.1f} min"
        card = card_link(folder, metadata, document)
        for result in metadata["results"]:
            value = f"**{format_result(result)}** {result['metric'].replace('_', ' ')}"
            rows.append([card, result["protocol"], value, describe_protocol(result), training])
    return markdown.table(["preset", "protocol", "result", "how it was measured", "training"], rows)
