"""The table of methods: what each is, and what its presets reached."""

import inspect
import pathlib
import re

import tensorflow as tf

import zoo
from publishing import markdown
from publishing.results import card_link, format_result
from zoo.presets import loader

_FIELD_WAY = 5  # task states are sized for a 5-way 1-shot task
# "Authors: Title, venue year, URL", over the lines of one paragraph
_PAPER = re.compile(
    r"^(?P<author>[^\n,:]+)(?P<rest>[^\n]*:(?:[^\n]|\n(?!\n))*?)(?P<url>https?://[^\s,]+)", re.MULTILINE
)


def methods_table(metadata_by_folder):
    """Every method of the zoo as a Markdown table, with the presets trained with it, by their folders."""
    titles = ["method", "family", "paper", "config", "preset", "result", "transductive", "task state, 5-way 1-shot"]
    rows = []
    for name, method in zoo.METHODS.items():
        path = pathlib.Path(*method.__module__.split(".")).with_suffix(".py")
        start = [f"[`{name}`]({path})", path.parent.name.replace("_", "-"), paper_link(method)]
        presets = {
            folder: value for folder, value in metadata_by_folder.items() if value["config"]["model"]["method"] == name
        }
        if not presets:
            rows.append([*start, _config_links(name)])
        rows += [start + _preset_columns(folder, metadata) for folder, metadata in presets.items()]
    return markdown.table([*titles, "training"], rows)


def _preset_columns(folder, metadata):
    result, cost = metadata["results"][0], metadata["training"]
    model = loader.untrained(folder)
    config = re.search(r"configs/\w+\.py", metadata["command"])[0]
    value = f"{format_result(result)} ({result['protocol'].replace('_', ' ')})"
    transductive = f"{'yes' if model.transductive else 'no'} ({model.batch_norm_mode})"
    training = f"{cost['seconds'] / 60:.1f} min"
    columns = [f"[{pathlib.Path(config).stem}]({config})", card_link(folder, metadata), f"**{value}**"]
    return [*columns, transductive, f"{state_size(model):,} numbers", training]


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


def _config_links(name):
    configs = [path for path in sorted(pathlib.Path("configs").glob("*.py")) if f'"{name}"' in path.read_text()]
    return ", ".join(f"[{path.stem}]({path})" for path in configs)


def state_size(model):
    """Numbers in the task state of a model for a 5-way 1-shot task."""
    way = model.way or _FIELD_WAY
    rows = way if model.target_size is None else _FIELD_WAY
    labels = tf.range(rows, dtype=tf.int64)[None]
    targets = labels if model.target_size is None else tf.zeros([1, rows, model.target_size])
    state = model.adapt(tf.zeros([1, rows, *model.input_shape]), targets)
    return sum(int(tf.size(value)) for value in state.values())
