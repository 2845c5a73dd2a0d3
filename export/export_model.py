"""Exports a trained model as a SavedModel that adapts inside the request.

python -m export.export_model --workdir=DIR | --preset=NAME --output_dir=DIR [--way=5] [--version=1]
    [--signatures=adapt,predict] [--max_rows=500] [--max_images=N] [--max_image_pixels=4000000] [--batching]

--batching prints a server line that merges requests, for clients that all pad to --support_rows and --query_rows.
--format=litert writes a file for devices in place of a SavedModel, for --support_rows and --query_rows images a task.
"""

from commands import early  # noqa: F401  Ctrl-C during the other imports says one line

# isort: split
import sys

from absl import flags

from commands import launcher, path_flags, sources
from export.limits import MAX_IMAGE_PIXELS, MAX_ROWS

_WORKDIR = path_flags.define("workdir", "Folder of a training run.")
_PRESET = path_flags.define("preset", "Name or folder of a preset.")
_OUTPUT_DIR = path_flags.define("output_dir", "Folder of the served model; versions are folders in it.")
_WAY = flags.DEFINE_integer("way", None, "Classes per task: any for methods with a variable way (default 5).", 2)
_SIGNATURES = flags.DEFINE_list("signatures", None, "Signatures to write; all that the method has when left out.")
_VERSION = flags.DEFINE_integer("version", None, "Version to write; one more than the highest there when left out.", 1)
_ALLOW_TRANSDUCTIVE = flags.DEFINE_bool(
    "allow_transductive", False, "Export a model whose answer to a query depends on the others that are asked with it."
)
_MAX_ROWS = flags.DEFINE_integer("max_rows", MAX_ROWS, "The most tasks, support rows and query rows of a request.", 1)
_MAX_IMAGES = flags.DEFINE_integer(
    "max_images",
    None,
    "The most support images, and queries, of all tasks of a request together (default: of 4 million pixels; fewer support "
    "images for methods that keep much of each).",
    1,
)
_MAX_IMAGE_PIXELS = flags.DEFINE_integer("max_image_pixels", MAX_IMAGE_PIXELS, "Of an image file; more: broken.", 1)
_BATCHING = flags.DEFINE_bool(
    "batching", False, "Print a server line that merges requests: for clients that all pad as adaptation.json says."
)

_FORMAT = flags.DEFINE_enum("format", "saved_model", ["saved_model", "litert"], "What to write.")
_SUPPORT_ROWS = flags.DEFINE_integer(
    "support_rows", None, "Support images a task: that clients pad to (default 5 a class), or of litert (1).", 1
)
_QUERY_ROWS = flags.DEFINE_integer("query_rows", None, "Images to classify a task, likewise (default 15; litert 1).", 1)


def main():
    source = sources.chosen_source(_WORKDIR.value, _PRESET.value)
    sources.check_output_folder(_OUTPUT_DIR.value, "--output_dir")
    with launcher.imports():
        from export import saved_model, verification
        from export.serving_files import docker_command
        from export.way_and_ink import dataset_of, is_ink, load_with_way
        from zoo.presets import preset_metadata

    try:
        model = load_with_way(source, _WAY.value)
        metadata = preset_metadata(source)
        results = {"dataset": dataset_of(metadata) or None, "results": metadata.get("results", [])}
        if model.transductive and _BATCHING.value:
            raise ValueError("--batching must be left out for a transductive model, whose queries cannot be padded")
        if _FORMAT.value == "litert":
            return _export_litert(model, results)
        target = saved_model.export(
            model,
            _OUTPUT_DIR.value,
            _VERSION.value,
            results,
            is_ink(source),
            _SIGNATURES.value,
            _ALLOW_TRANSDUCTIVE.value,
            _MAX_ROWS.value,
            _MAX_IMAGE_PIXELS.value,
            _SUPPORT_ROWS.value,
            _QUERY_ROWS.value,
            _MAX_IMAGES.value,
        )
    except verification.ExportError as error:
        sys.exit(f"error: {error}")
    print(
        f"exported: {target}\na fresh process without this package answered as the model does, within {verification.TOLERANCE}"
    )
    name = target.parent.resolve().name
    print(f"serve it: {docker_command(target.parent, name, _BATCHING.value, model.one_thread_per_op)}")


def _export_litert(model, results):
    from export.litert import MODEL_FILE, export_litert

    rows, queries = _SUPPORT_ROWS.value or model.way, _QUERY_ROWS.value or 1
    target, size, milliseconds = export_litert(
        model, _OUTPUT_DIR.value, rows, queries, _VERSION.value, results, _ALLOW_TRANSDUCTIVE.value
    )
    print(
        f"exported: {target / MODEL_FILE}, {size / 1e6:.2f} MB; LiteRT answers as the model does, in {milliseconds:.1f} ms: "
        f"{rows} support images, {queries} to classify, one thread"
    )


if __name__ == "__main__":
    launcher.run(main, required=["output_dir"])
