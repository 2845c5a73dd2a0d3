"""Makes an evaluated run a preset of the package, and brings the tables of README and docs up to date.

python -m publishing.publish --workdir=DIR --preset=NAME    writes model.json, model.weights.h5 and card.md
python -m publishing.publish --workdir=DIR --card=NAME      model.json and card.md alone, of weights too large to ship
python -m publishing.publish                                the tables alone, from the presets and cards that are there
"""

from absl import app, flags

from commands import launcher, path_flags, sources

_WORKDIR = path_flags.define("workdir", "Evaluated training run to publish.")
_PRESET = flags.DEFINE_string("preset", None, "Name: {method}_{backbone}_{dataset}_{way}way_{shot}shot.")
_CARD = flags.DEFINE_string("card", None, "The same, of a run whose weights stay out; goes to docs/cards/NAME.")


def main():
    if bool(_WORKDIR.value) != bool(_PRESET.value or _CARD.value) or (_PRESET.value and _CARD.value):
        raise app.UsageError("Give --workdir with --preset or --card, or none of them.")
    sources.check_repository()
    if _WORKDIR.value:
        sources.check_run(_WORKDIR.value)
    with launcher.imports():
        from publishing import documents, preset_files

    if _WORKDIR.value:
        target = documents.CARDS / _CARD.value if _CARD.value else documents.PRESETS / _PRESET.value
        preset_files.publish(_WORKDIR.value, target, with_weights=_CARD.value is None)
        print(target)
    documents.write_documents(documents.published_metadata())


if __name__ == "__main__":
    launcher.run(main)
