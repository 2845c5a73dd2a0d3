"""Converts every preset that LiteRT's built-in ops hold: size of the file and milliseconds of an answer, 5-way, 15 queries.

python -m benchmarks.devices [--presets=NAME,...] [--document=docs/serving.md]

Needs ai-edge-litert. Each file is compared with its model before it is timed, on one thread. Run on a quiet machine.
"""

import os
import platform
import tempfile

from absl import flags

from commands import launcher, path_flags

_PRESETS = flags.DEFINE_list("presets", None, "Presets to convert; all classifiers that ship when left out.")
_DOCUMENT = path_flags.define("document", "File to write the table into, between its devices marks.")

WAY, QUERIES = 5, 15


def convert(preset, folder):
    """(support images, bytes, milliseconds) of a preset; None for one whose method needs other ops, or that is no classifier."""
    from export.litert import export_litert
    from export.way_and_ink import load_with_way
    from zoo.presets import preset_metadata

    model = load_with_way(preset)
    if model.target_size is not None:
        return None
    rows = WAY * preset_metadata(preset)["config"]["train"]["shot"]
    try:
        _, size, milliseconds = export_litert(model, folder, rows, QUERIES)
    except ValueError as error:
        if "built-in ops" not in str(error):
            raise
        return None
    return rows, size, milliseconds


def table(measured):
    """The measurements as a Markdown table."""
    from publishing import markdown

    rows = [
        [preset, support, f"{size / 1e6:.2f} MB", f"{milliseconds:.0f} ms"]
        for preset, (support, size, milliseconds) in measured
    ]
    machine = f"Measured on one thread of {os.cpu_count()} CPU cores ({platform.machine()}): 5-way, {QUERIES} queries."
    return f"{markdown.table(['preset', 'support images', 'file', 'an answer'], rows)}\n\n{machine}"


def main():
    with launcher.imports():
        import zoo
        from publishing.markdown import replace_section
        from zoo.presets.loader import preset_folder

    presets = _PRESETS.value or zoo.list_presets()
    for preset in presets:
        preset_folder(preset)  # an unknown one is refused before others are timed
    measured = []
    for preset in presets:
        with tempfile.TemporaryDirectory() as folder:
            if (row := convert(preset, folder)) is None:
                print(f"{preset}: not with built-in ops")
                continue
        measured.append((preset, row))
        print(table(measured[-1:]).splitlines()[2], flush=True)
    if _DOCUMENT.value:
        replace_section(_DOCUMENT.value, "devices", table(measured))


if __name__ == "__main__":
    launcher.run(main)
