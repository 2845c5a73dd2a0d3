"""The documents whose tables are written from the presets and cards that are there."""

import pathlib

import zoo
from commands import sources
from publishing import markdown, methods_table, presentations
from publishing.mini_imagenet_table import mini_imagenet_table
from publishing.results import presets_table
from zoo.datasets.pictures import plot_episode
from zoo.presets import loader

# From the top of the repository, where the command runs.
README, RESULTS = "README.md", "docs/results.md"
PRESETS, CARDS = pathlib.Path("zoo", "presets"), pathlib.Path("docs", "cards")
PRESENTATIONS, EPISODE = "docs/presentations.png", "docs/episode.png"
EPISODE_PRESET = "prototypical_network_conv4_glyphs_30way_1shot"


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


def tables(metadata_by_folder):
    """The text of every table, by its document and its marks there."""
    curves = published_presentations(metadata_by_folder)
    return {
        (README, "methods"): methods_table.methods_table(metadata_by_folder, README),
        (RESULTS, "mini_imagenet"): mini_imagenet_table(metadata_by_folder, RESULTS),
        (RESULTS, "methods"): methods_table.details_table(metadata_by_folder, RESULTS),
        (RESULTS, "results"): presets_table(metadata_by_folder, RESULTS),
        (RESULTS, "presentations"): presentations.presentations_table(curves),
    }


def write_documents(metadata_by_folder):
    """Brings the tables and pictures of README and docs up to date. Raises ValueError where they are not there."""
    sources.check_repository()
    for (document, marker), text in tables(metadata_by_folder).items():
        markdown.replace_section(document, marker, text)
    presentations.plot_presentations(PRESENTATIONS, published_presentations(metadata_by_folder))
    plot_episode(EPISODE, *answered_episode())


def answered_episode():
    """One episode of the glyphs' test scripts and a preset's answers to it: the arguments of `plot_episode` after the path."""
    model = zoo.from_preset(EPISODE_PRESET)
    letters = zoo.datasets.load("glyphs", "test")
    drawing = dict(way=5, shot=1, query=7, seed=0)
    x, y = next(iter(letters.episodes(num_tasks=1, **drawing)))
    arrays = {name: values.numpy() for name, values in x.items()}
    return arrays, y.numpy(), model(x).numpy(), letters.drawn_names(**drawing)
