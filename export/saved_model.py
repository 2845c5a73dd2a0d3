"""Writes a SavedModel that adapts, and proves that it does without this package."""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf

from export.editable_states import SIDECAR_FILE
from export.serving_files import write_server_samples, write_warmup
from export.signatures import ServedModel
from export.versions import choose_version, new_version

# Ops that would change served weights, need Python, or need XLA, which a stock server disables.
FORBIDDEN_OPS = ("Assign", "PyFunc", "XlaMustCompile", "XlaLaunch")
TOLERANCE = 1e-4
_ATTEMPTS = 3  # requests that an export is compared on before it is refused


class ExportError(RuntimeError):
    """The export does not answer as the model does; nothing was left behind."""


def export(model, output_dir, version=None, metadata=None, invert=False, signatures=None):
    """Writes `<output_dir>/<version>/`, after a fresh process without this package gave the same answers from it.

    Args:
        model: a FewShotModel for classification with a fixed `way`.
        output_dir: folder of the model; made where missing.
        version: int; one more than the highest there when None.
        metadata: dict for the sidecar, as plain data.
        invert: whether image files are dark ink on light paper, to turn into ink 1 and paper 0.
        signatures: names of those to write; all when None.

    Returns:
        The version folder, a pathlib.Path.

    Raises:
        ValueError: where the version exists, the folder cannot be written, or the model cannot be served.
        ExportError: where the reloaded answers differ.
    """
    output_dir = pathlib.Path(output_dir)
    version = choose_version(output_dir, version)
    served = ServedModel(model, version, invert, signatures)
    check_graph(served.signatures)
    name = output_dir.resolve().name
    with new_version(output_dir, version) as folder:
        tf.saved_model.save(served.module, str(folder), signatures=served.signatures)
        (folder / SIDECAR_FILE).write_text(json.dumps(_sidecar(model, served, metadata or {}), indent=1) + "\n")
        requests = verify(model, served, folder)
        write_warmup(folder, name, _warmup_requests(served, requests))
    write_server_samples(output_dir, name)
    return output_dir / str(version)


def check_graph(signatures):
    """Raises ValueError if a signature reaches an op that must not be served."""
    for name, function in signatures.items():
        graph = function.graph.as_graph_def()
        nodes = list(graph.node) + [node for library in graph.library.function for node in library.node_def]
        bad = sorted({node.op for node in nodes if any(word in node.op for word in FORBIDDEN_OPS)})
        if bad:
            raise ValueError(f"Signature {name!r} must not contain ops like {FORBIDDEN_OPS}. Received: {bad}")


def verify(model, served, folder):
    """Raises ExportError unless a fresh process answers from `folder` as the Python model does; the requests it answered.

    Where adaptation takes gradients, a request can lie on a kink of a ReLU or of a max-pool, on either side of which rounding
    puts it. So other requests are tried before the export is refused: a wrong graph fails with all of them.
    """
    for seed in range(_ATTEMPTS):
        requests = _requests(served, model, seed)
        expected = _python_answers(model, served, requests)
        requests["task_state"] = expected["adapt/task_state"]
        difference = _difference(served, expected, reload_and_answer(folder, requests))
        if not difference:
            return requests
    raise ExportError(f"The reloaded {difference}, with {_ATTEMPTS} of {_ATTEMPTS} requests")


def _difference(served, expected, answers):
    """The first answer that is not the expected one, in words; None where all are."""
    for name, value in expected.items():
        if name.partition("/")[0] not in served.signatures:
            continue
        difference = float(np.max(np.abs(answers[name] - value), initial=0.0))
        if answers[name].shape != value.shape or not difference <= TOLERANCE:
            return (
                f"{name} must be the model's within {TOLERANCE}. Received: shape {answers[name].shape} for {value.shape}, "
                f"difference {difference}"
            )
    return None


def _warmup_requests(served, requests):
    """For each signature one task of what it was verified with."""
    return {
        name: {spec.name: requests[spec.name][:1] for spec in tf.nest.flatten(function.structured_input_signature)}
        for name, function in served.signatures.items()
    }


def reload_and_answer(folder, requests):
    """The answers of a SavedModel in a process that cannot import this package, by signature and output."""
    script = pathlib.Path(__file__).with_name("reload_check.py")
    with tempfile.TemporaryDirectory() as scratch:
        np.savez(f"{scratch}/requests.npz", **requests)
        command = [
            sys.executable,
            "-I",
            str(script),
            str(pathlib.Path(folder).resolve()),
            "requests.npz",
            "answers.npz",
        ]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ExportError(f"The export must load in a fresh process. Received: {done.stderr.strip()[-2000:]}")
        with np.load(f"{scratch}/answers.npz") as answers:
            return dict(answers)


def _requests(served, model, seed, num_tasks=3, shot=2, num_queries=7):
    """Two ordinary tasks and one with padding."""
    rng = np.random.default_rng(seed)
    rows = model.way * shot
    labels = np.tile(np.arange(model.way, dtype=np.int64), (num_tasks, shot))
    labels[-1, model.way :] = -1
    requests = {
        "support_images": rng.random((num_tasks, rows, *model.input_shape), dtype=np.float32),
        "support_labels": labels,
        "query_images": rng.random((num_tasks, num_queries, *model.input_shape), dtype=np.float32),
    }
    if "embed" in served.signatures:
        requests["images"] = requests["query_images"][0]
    if "adapt_and_predict_image_bytes" in served.signatures:
        for part in ("support", "query"):
            requests[f"{part}_image_bytes"] = _png_files(requests[f"{part}_images"])
    return requests


def _png_files(images):
    """Images [T, rows, H, W, C] as PNG files: bytes [T, rows]."""
    pixels = (255 * images).round().astype(np.uint8)
    return np.array([[tf.io.encode_png(image).numpy() for image in task] for task in pixels])


def _python_answers(model, served, requests):
    """What the Python model answers, by signature and output."""

    def probabilities(support, query):
        state = model.adapt(tf.constant(support), tf.constant(requests["support_labels"]))
        return tf.nn.softmax(model.predict_with(state, tf.constant(query))).numpy(), state

    expected, state = probabilities(requests["support_images"], requests["query_images"])
    answers = {
        "adapt/task_state": served.layout.flatten(state).numpy(),
        "adapt/support_count": np.sum(requests["support_labels"] >= 0, axis=1),
        "predict/probabilities": expected,
        "adapt_and_predict/probabilities": expected,
        "serving_default/probabilities": expected,
    }
    if "embed" in served.signatures:
        embeddings = model.backbone(requests["images"], training=False).numpy()
        answers["embed/embeddings"] = embeddings.reshape(len(embeddings), -1)
    if "adapt_and_predict_image_bytes" in served.signatures:
        decoded = (served.decode(tf.constant(requests[f"{part}_image_bytes"])) for part in ("support", "query"))
        answers["adapt_and_predict_image_bytes/probabilities"] = probabilities(*decoded)[0]
    return answers


def _sidecar(model, served, metadata):
    return {
        "method": type(model).__name__,
        "way": model.way,
        "input_shape": list(model.input_shape),
        "inputs": "float32 from 0 to 1",
        "image_files": f"PNG, JPEG, GIF or BMP, resized{'; dark ink on light paper becomes ink 1' if served.invert else ''}",
        "task_state": served.layout.to_json(),
        # Batch statistics of the support set tie its classes together.
        "classes_in_state": None if model.transductive else model.classes_in_state,
        "transductive": model.transductive,
        "batch_norm_mode": model.batch_norm_mode,
        "inner_steps": getattr(model, "num_inner_steps_test", 0),
        "signatures": sorted(served.signatures),
        **metadata,
    }
