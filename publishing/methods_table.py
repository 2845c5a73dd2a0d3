"""The tables of methods: what each is, and what its presets reached."""

import inspect
import pathlib
import re
import shlex

import tensorflow as tf

import zoo
from publishing import markdown
from publishing.results import NOT_SHIPPED, card_link, format_result, is_transductive, leading_result, training_time
from zoo.presets import loader

_FIELD_WAY = 5  # task states are sized for a 5-way 1-shot task
# "Authors: Title, venue year, URL", over the lines of one paragraph
_PAPER = re.compile(
    r"^(?P<author>[^\n,:]+)(?P<rest>[^\n]*:(?:[^\n]|\n(?!\n))*?)(?P<url>https?://[^\s,]+)", re.MULTILINE
)


def methods_table(metadata_by_folder, document):
    """Every method of the zoo with its paper, and one result of each preset of it, as a Markdown table; it is named once."""
    rows = []
    for name, method in zoo.METHODS.items():
        start = [_code_link(name, document), paper_link(method)]
        presets = {
            folder: metadata
            for folder, metadata in _presets_of(name, metadata_by_folder).items()
            if metadata.get("weights") != NOT_SHIPPED
        }
        outcomes = [_outcome(folder, metadata) for folder, metadata in presets.items()] or [[]]
        rows += [[*start, *outcomes[0]], *(["", "", *outcome] for outcome in outcomes[1:])]
    return markdown.table(["method", "paper", "preset", "result"], rows)


def _outcome(folder, metadata):
    result = leading_result(metadata["results"])
    mark = ", transductive" if is_transductive(result) else ""
    protocol = re.sub(r"(\d+)(way|shot|step)", r"\1-\2", result["protocol"].removesuffix("_transductive"))
    metric = "" if result["metric"] == "accuracy" else f" {result['metric'].replace('_', ' ')}"
    value = f"{format_result(result)}{metric}{mark}, {protocol.replace('_', ' ')}"
    return [f"`{folder.name}`", value]


def details_table(metadata_by_folder, document):
    """What can be told of every method and of its presets without asking them, as a Markdown table."""
    titles = ["method", "family", "config", "preset", "transductive", "task state, 5-way 1-shot", "training"]
    rows = []
    for name in zoo.METHODS:
        start = [_code_link(name, document), _module_path(name).parent.name.replace("_", "-")]
        presets = _presets_of(name, metadata_by_folder)
        rows += [[*start, *_details(folder, metadata, document)] for folder, metadata in presets.items()]
        if not presets:
            rows.append([*start, _config_links(name, document)])
    return markdown.table(titles, rows)


def _details(folder, metadata, document):
    model = loader.untrained(folder)
    config = config_path(metadata["command"])
    link = markdown.link(config.stem, config, document) if config.is_file() else f"`{config.name}`"
    transductive = f"{'yes' if model.transductive else 'no'} ({model.batch_norm_mode})"
    columns = [link, card_link(folder, metadata, document), transductive]
    return [*columns, f"{state_size(model):,} numbers", training_time(metadata)]


def _presets_of(name, metadata_by_folder):
    return {
        folder: metadata
        for folder, metadata in metadata_by_folder.items()
        if metadata["config"]["model"]["method"] == name
    }


def _module_path(name):
    return pathlib.Path(*zoo.METHODS[name].__module__.split(".")).with_suffix(".py")


def _code_link(name, document):
    return markdown.link(f"`{name}`", _module_path(name), document)


def config_path(command):
    """The config file of a training command, as a path from where the command runs; of a config's name, that in `configs`."""
    options = [argument.partition("=") for argument in shlex.split(command)]
    (path,) = [value for name, _, value in options if name == "--config"]
    return pathlib.Path(path) if path.endswith(".py") else pathlib.Path("configs", f"{path}.py")


def paper_link(method):
    """The paper that a method's docstring, or that of the method it varies, names first: `[Snell et al. 2017](URL)`."""
    for cls in inspect.getmro(method):
        text = inspect.getdoc(cls) or ""
        paper = _PAPER.search(text)
        if paper and cls.__module__.startswith("zoo."):
            year = re.search(r"\b(?:19|20)\d\d\b", paper["rest"])[0]
            others = " et al." if "," in paper["rest"].split(":")[0] else ""
            return f"[{paper['author']}{others} {year}]({paper['url'].rstrip('.,')})"
    return ""


def _config_links(name, document):
    configs = [path for path in sorted(pathlib.Path("configs").glob("*.py")) if f'"{name}"' in path.read_text()]
    return ", ".join(markdown.link(path.stem, path, document) for path in configs)


def state_size(model):
    """Numbers in the task state of a model for a 5-way 1-shot task."""
    way = model.way or _FIELD_WAY
    rows = way if model.target_size is None else _FIELD_WAY
    labels = tf.range(rows, dtype=tf.int64)[None]
    targets = labels if model.target_size is None else tf.zeros([1, rows, model.target_size])
    state = model.adapt(tf.zeros([1, rows, *model.input_shape]), targets)
    return sum(int(tf.size(value)) for value in state.values())
