"""The documents whose tables are written from the presets and cards that are there."""

import pathlib

import zoo
from publishing import markdown, methods_table, presentations
from publishing.results import presets_table
from zoo.presets import loader

# From the top of the repository, where the command runs and README's links start.
PRESETS, CARDS = pathlib.Path("zoo", "presets"), pathlib.Path("docs", "cards")
PRESENTATIONS = pathlib.Path("docs", "presentations.png")


def published_metadata():
    """The metadata of every preset and card, by folder."""
    folders = [PRESETS / name for name in zoo.list_presets()] + sorted(path.parent for path in CARDS.glob("*/card.md"))
    return {folder: loader.preset_metadata(folder) for folder in folders}


def published_presentations(metadata_by_folder):
    """Accuracy by presentation of the models that have it, by name and protocol."""
    return {
        f"{folder.name}, {protocol}": curve
        for folder, metadata in metadata_by_folder.items()
        for protocol, curve in presentations.presentation_curves(metadata["results"]).items()
    }


def write_readme(path, metadata_by_folder):
    """Brings the tables of methods and results up to date, and the picture beside them."""
    curves = published_presentations(metadata_by_folder)
    markdown.replace_section(path, "methods", methods_table.methods_table(metadata_by_folder))
    markdown.replace_section(path, "results", presets_table(metadata_by_folder))
    markdown.replace_section(path, "presentations", presentations.presentations_table(curves))
    presentations.plot_presentations(PRESENTATIONS, curves)
