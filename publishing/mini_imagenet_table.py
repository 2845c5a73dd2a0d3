"""The table of miniImageNet: what each method reached there, and what its paper has."""

import importlib
import pathlib
import re

import zoo
from publishing import markdown
from publishing.methods_table import config_path
from publishing.results import NOT_SHIPPED, format_result, is_transductive, leading_result, training_time
from zoo.presets import loader

DATASET = "mini_imagenet"
SHOTS = (1, 5)
TITLES = ["method", *(title for shot in SHOTS for title in (f"{shot} shot{'s'[: shot - 1]}", "published")), "trained"]
_NUMBER = re.compile(r"(\d+\.\d+) \+- (\d+\.\d+)")


def mini_imagenet_table(metadata_by_folder, document):
    """Every method that has a config for miniImageNet, a row each, 5-way: results, published ones and training, as Markdown."""
    rows = {name: {} for name in zoo.METHODS}
    for path in sorted(pathlib.Path("configs").glob(f"*{DATASET}*.py")):
        published = published_results(path)
        if not published:  # a pretraining whose network no paper has
            continue
        cells = rows[_module(path).get_config().model.method]
        runs = {f: metadata for f, metadata in metadata_by_folder.items() if config_path(metadata["command"]) == path}
        for folder, metadata in runs.items():
            for shot in SHOTS:
                if reached := [result for result in metadata["results"] if result["shot"] == shot]:
                    cells.setdefault(shot, []).append(_cell(reached, folder, metadata, document))
            cells.setdefault("trained", []).append(training_time(metadata, digits=0))
        for shot, value in published.items():
            cells.setdefault(f"published {shot}", []).append(value)
    columns = [*(key for shot in SHOTS for key in (shot, f"published {shot}")), "trained"]
    missing = {shot: ["no run"] for shot in SHOTS}
    lines = [
        [f"`{name}`", *(", ".join({**missing, **cells}.get(key, [])) for key in columns)]
        for name, cells in rows.items()
        if cells
    ]
    return markdown.table(TITLES, lines)


def published_results(path):
    """{shot: mean and interval in %, as text} of the paper that the docstring of a config names: those that it names first."""
    paragraph = re.search(r"^Paper:.*?(?=^\w)", _module(path).__doc__, re.MULTILINE | re.DOTALL)[0]
    numbers = [f"{mean} ± {interval}" for mean, interval in _NUMBER.findall(paragraph)]
    one_shot = re.search(r"_(\d+)shot$", path.stem)
    shots = [int(one_shot[1])] if one_shot else SHOTS
    return dict(zip(shots, numbers))


def _module(path):
    return importlib.import_module(f"configs.{path.stem}")


def _cell(results, folder, metadata, document):
    leading = leading_result(results)
    value = markdown.link(_percent(leading), folder / loader.CARD_FILE, document)
    together = next((_percent(result) for result in results if is_transductive(result) and result is not leading), None)
    remarks = [f"together {together}"] * bool(together) + ["card only"] * (metadata.get("weights") == NOT_SHIPPED)
    return f"{value} ({', '.join(remarks)})" if remarks else value


def _percent(result):
    return format_result(result).removesuffix(" %")
