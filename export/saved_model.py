"""Writes a SavedModel that adapts, and proves that it does without this package."""

import dataclasses
import json

import tensorflow as tf

from export import padding
from export.limits import MAX_IMAGE_PIXELS, MAX_ROWS
from export.serving_files import batch_size_of, write_server_samples, write_warmup
from export.sidecar import SIDECAR_FILE
from export.signatures import ServedModel
from export.verification import verify
from export.versions import choose_version, new_version

# Ops that would change served weights, need Python, or need XLA, which a stock server disables.
FORBIDDEN_OPS = ("Assign", "PyFunc", "XlaMustCompile", "XlaLaunch")


def export(
    model,
    output_dir,
    version=None,
    metadata=None,
    invert=False,
    signatures=None,
    allow_transductive=False,
    max_rows=MAX_ROWS,
    max_image_pixels=MAX_IMAGE_PIXELS,
    support_rows=None,
    query_rows=None,
    max_images=None,
):
    """Writes `<output_dir>/<version>/`, after a fresh process without this package gave the same answers from it.

    Args:
        model: a FewShotModel for classification with a fixed `way`.
        output_dir: folder of the model; made where missing.
        version: int; one more than the highest there when None.
        metadata: dict for the sidecar, as plain data.
        invert: whether image files are dark ink on light paper, to turn into ink 1 and paper 0.
        signatures: names of those to write; all when None.
        allow_transductive: whether a model may be exported whose answer to a query depends on the others of its task.
        max_rows: the most tasks, support rows and query rows of a request.
        max_image_pixels: of an image file.
        support_rows, query_rows: what clients of a server with batching pad to; five shots and 15 queries when None.
        max_images: the most support images, and queries, of all tasks of a request together; see `export.limits` when None.

    Returns:
        The version folder, a pathlib.Path.

    Raises:
        ValueError: where the version exists, the folder cannot be written, or the model cannot be served.
        ExportError: where the reloaded answers differ.
    """
    output_dir, version = choose_version(output_dir, version)
    check_input_size(model)
    check_inductive(model, allow_transductive)
    limits = {"max_rows": max_rows, "max_images": max_images, "max_image_pixels": max_image_pixels}
    served = ServedModel(model, version, invert, signatures, **limits)
    # A padded query would change the answers of a transductive model.
    pad_to = None if model.transductive else padding.sizes(model.way, served.limits, support_rows, query_rows)
    check_graph(served.signatures)
    name = output_dir.resolve().name
    batch_size = batch_size_of("embed" in served.signatures, served.limits, pad_to)
    with new_version(output_dir, version) as folder:
        tf.saved_model.save(served.module, str(folder), signatures=served.signatures)
        (folder / SIDECAR_FILE).write_text(json.dumps(_sidecar(model, served, pad_to, metadata or {}), indent=1) + "\n")
        requests = verify(model, served, folder)
        write_warmup(folder, name, _warmup_requests(served, requests))
        write_server_samples(output_dir, name, batch_size, folder)
    return output_dir / str(version)


def check_input_size(model):
    """Raises ValueError for a model whose backbone takes inputs of any size: files are resized to one, and requests are bounded by it."""
    if None in model.input_shape:
        raise ValueError(
            "Expected a model with an input of known size, such as a backbone of a keras.Sequential of keras.Input((96, 96, 3)) and the "
            f"network. Received: {type(model).__name__} with input_shape={model.input_shape}"
        )


def check_inductive(model, allow_transductive):
    """Raises ValueError for a model whose answer to a query depends on the others, unless that is allowed."""
    if model.transductive and not allow_transductive:
        raise ValueError(
            "Expected a model that answers each query by itself; --allow_transductive (`allow_transductive`) exports this one all "
            f"the same, for queries that are asked together. Received: {type(model).__name__}, whose answer to a query depends on "
            "the others, and is at chance for one alone"
        )


def check_graph(signatures):
    """Raises ValueError if a signature reaches an op that must not be served."""
    for name, function in signatures.items():
        graph = function.graph.as_graph_def()
        nodes = list(graph.node) + [node for library in graph.library.function for node in library.node_def]
        bad = sorted({node.op for node in nodes if any(word in node.op for word in FORBIDDEN_OPS)})
        if bad:
            raise ValueError(f"Signature {name!r} must not contain ops like {FORBIDDEN_OPS}. Received: {bad}")


def image_files(model, invert):
    """What becomes of image files in the graph, in words."""
    fitted = {"stretch": "stretched", "crop": "cropped in the middle", "pad": "padded with paper"}[model.image_fit]
    ink = "; dark ink on light paper becomes ink 1" if invert else ""
    return f"PNG, JPEG, GIF or BMP, {fitted} to the aspect ratio of input_shape and resized{ink}"


def _warmup_requests(served, requests):
    """For each signature one task of what it was verified with."""
    return {
        name: {spec.name: requests[spec.name][:1] for spec in tf.nest.flatten(function.structured_input_signature)}
        for name, function in served.signatures.items()
    }


def _sidecar(model, served, pad_to, metadata):
    return {
        "method": type(model).__name__,
        "way": model.way,
        "input_shape": list(model.input_shape),
        "inputs": "float32 from 0 to 1",
        "image_files": image_files(model, served.invert),
        "fit": model.image_fit,
        "limits": dataclasses.asdict(served.limits),
        padding.SIZES_KEY: pad_to,
        "task_state": served.layout.to_json(),
        # Batch statistics of the support set tie its classes together.
        "classes_in_state": None if model.transductive else model.classes_in_state,
        "transductive": model.transductive,
        "batch_norm_mode": model.batch_norm_mode,
        "inner_steps": getattr(model, "num_inner_steps_test", 0),
        "signatures": sorted(served.signatures),
        **metadata,
    }
