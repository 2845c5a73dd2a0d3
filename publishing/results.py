"""Results in words, and their tables."""

from publishing import markdown
from zoo.presets.loader import CARD_FILE

FEW_CLASSES = 20  # of fewer classes, an interval over episodes says little about other classes
NOT_SHIPPED = "weights not shipped"  # what a card says of weights that are too large


def format_result(result):
    """Mean and half-width as people write them: 98.8 ± 0.1 % for accuracy, 0.35 ± 0.02 for an error."""
    if result["metric"].endswith("accuracy"):
        return f"{100 * result['mean']:.2f} ± {100 * result['ci95']:.2f} %"
    return f"{result['mean']:.3f} ± {result['ci95']:.3f}"


def format_count(value):
    """A count of a protocol: "5", or "3 to 5" where each task draws its own."""
    if isinstance(value, (list, tuple)):
        low, high = value
        return f"{low} to {high}" if low != high else f"{low}"
    return f"{value}"


def few_classes_remark(results):
    """What must be said of results on the classes of training, or on few classes; empty where there are enough."""
    if any(result.get("known_classes") for result in results):
        return "The classes are those of training, on other images: nothing is said of new classes."
    few = sorted({result["classes"] for result in results if result.get("classes", FEW_CLASSES) < FEW_CLASSES})
    if not few:
        return ""
    numbers = " and ".join(map(str, few))
    return (
        f"The episodes come from {numbers} classes only: the interval covers the choice of episodes, not that of the classes; "
        "with others the mean may lie outside of it."
    )


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
        "classes",
        "known_classes",
        "presentations",
        "additional",
    )
    way = f"{format_count(result['way']).replace(' ', '- ', 1)}-way " if result["way"] else ""
    shot = f"{format_count(result['shot']).replace(' ', '- ', 1)}-shot"
    known = "known classes, those of training" if result.get("known_classes") else "classes"
    classes = f" of {result['classes']} {known}" if "classes" in result else ""
    settings = ", ".join(f"{name} {value}" for name, value in result.items() if name not in shown)
    queries = f"{result['query']} {'query' if result['query'] == 1 else 'queries'}"
    queries += " per class" if result["way"] else ""
    return f"{way}{shot}, {queries}, {result['episodes']} {result['subset']} episodes{classes}; {settings}"


def with_additional(results):
    """The results, each followed by those of the method's own metrics over the same episodes."""
    for result in results:
        yield result
        for metric, (mean, ci95) in result.get("additional", {}).items():
            yield {**result, "metric": metric, "mean": mean, "ci95": ci95}


def results_table(results):
    """Results as a Markdown table, those of a method's own metrics included."""
    rows = (
        [result["protocol"], result["metric"].replace("_", " "), format_result(result), describe_protocol(result)]
        for result in with_additional(results)
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


def training_time(metadata, digits=1):
    """Minutes of training; marked where it did not run on 2 CPU cores alone, as the documents say of all others."""
    minutes = f"{metadata['training']['seconds'] / 60:.{digits}f} min"
    machines = metadata["training"]["machine"].split("; then ")
    if any("," in machine and not machine.endswith("no GPU") for machine in machines):
        return f"{minutes} (GPU)"
    others = [machine.partition(" ")[0] for machine in machines if not machine.startswith("2 CPU cores")]
    return f"{minutes} ({others[0]} cores)" if others else minutes


def presets_table(metadata_by_folder, document):
    """Every result of every preset as a Markdown table, protocol and training cost beside it."""
    rows = []
    for folder, metadata in metadata_by_folder.items():
        training = f"{metadata['training']['steps']:,} steps, {training_time(metadata)}"
        card = card_link(folder, metadata, document)
        for result in metadata["results"]:
            value = f"**{format_result(result)}** {result['metric'].replace('_', ' ')}"
            rows.append([card, result["protocol"], value, describe_protocol(result), training])
    return markdown.table(["preset", "protocol", "result", "how it was measured", "training"], rows)
