"""A model that adapts on a device: one LiteRT file of built-in ops alone, with fixed shapes.

Metric-based methods, MANN and the LSTM baseline convert as they are, and ANIL with the gradient of its head written out. Other
methods that adapt by gradients need ops that LiteRT does not have built in (Conv2DBackpropFilter, FusedBatchNormGradV3, ReluGrad):
they are refused.
"""

import json
import re
import time

import numpy as np
import tensorflow as tf

from export.litert_anil import adapts_head_alone, anil_logits
from export.saved_model import check_inductive, check_input_size
from export.sidecar import SIDECAR_FILE
from export.tracing import traced
from export.verification import ExportError
from export.versions import choose_version, new_version

MODEL_FILE = "model.tflite"
TOLERANCE = 1e-4
_TIMED_CALLS = 20


def export_litert(model, output_dir, support_rows, query_rows, version=None, metadata=None, allow_transductive=False):
    """Writes `<output_dir>/<version>/model.tflite`, after LiteRT gave the answers of the Python model with it.

    Inputs `support_images` float32 [1, S, H, W, C], `support_labels` int64 [1, S] and `query_images` float32 [1, Q, H, W, C];
    output `probabilities` float32 [1, Q, N]. A label below 0 marks a row to ignore; ANIL, whose features depend on all rows, then
    answers NaN: `padded_support` of the sidecar says so.

    Args:
        model: a FewShotModel for classification with a fixed `way`.
        output_dir, version, metadata, allow_transductive: as in `export.saved_model.export`.
        support_rows, query_rows: S and Q, which are fixed.

    Returns:
        (version folder, bytes of the file, median milliseconds of an answer on this machine with one thread).

    Raises:
        ValueError: where ai-edge-litert is not installed, the version exists, the model is transductive and not allowed, or the
            method needs ops that are not built in.
        ExportError: where LiteRT answers otherwise.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise ValueError(
            "`ai-edge-litert` must be installed: pip install ai-edge-litert. Received: no such package"
        ) from error
    if model.target_size is not None or model.way is None:
        raise ValueError(
            f"Expected a classification model with a fixed `way`. Received: way={model.way}, target_size={model.target_size}"
        )
    check_input_size(model)
    check_inductive(model, allow_transductive)
    output_dir, version = choose_version(output_dir, version)
    requests = _requests(model, support_rows, query_rows)
    content = _convert(model, _function(model, requests[0]))
    milliseconds = _verify(Interpreter(model_content=content, num_threads=1), model, requests)
    sidecar = {
        "method": type(model).__name__,
        "way": model.way,
        "input_shape": list(model.input_shape),
        "inputs": "float32 from 0 to 1",
        "fit": model.image_fit,
        "support_rows": support_rows,
        "query_rows": query_rows,
        "padded_support": not adapts_head_alone(model),
        **(metadata or {}),
    }
    with new_version(output_dir, version) as folder:
        (folder / MODEL_FILE).write_bytes(content)
        (folder / SIDECAR_FILE).write_text(json.dumps(sidecar, indent=1) + "\n", encoding="utf-8")
    return output_dir / str(version), len(content), milliseconds


def answer(interpreter, inputs):
    """What an allocated LiteRT interpreter of such a file answers to named arrays: float32 [1, Q, N]."""
    for detail in interpreter.get_input_details():
        (name,) = [name for name in inputs if name in detail["name"]]
        interpreter.set_tensor(detail["index"], inputs[name])
    interpreter.invoke()
    (output,) = interpreter.get_output_details()
    return interpreter.get_tensor(output["index"])


def _requests(model, support_rows, query_rows):
    """Requests to prove a file with: an ordinary one, and one with padding."""
    rng = np.random.default_rng(0)
    labels = np.arange(support_rows, dtype=np.int64)[None] % model.way
    padded = np.where(np.arange(support_rows) < max(1, support_rows - 1), labels, -1)
    return [
        {
            "support_images": rng.random((1, support_rows, *model.input_shape), dtype=np.float32),
            "support_labels": of_rows,
            "query_images": rng.random((1, query_rows, *model.input_shape), dtype=np.float32),
        }
        for of_rows in (labels, padded)
    ]


def _function(model, request):
    """The function to convert, for requests of these shapes."""
    logits = anil_logits if adapts_head_alone(model) else type(model).answer

    def probabilities(support_images, support_labels, query_images):
        return {"probabilities": tf.nn.softmax(logits(model, support_images, support_labels, query_images))}

    specs = {name: tf.TensorSpec(value.shape, value.dtype, name=name) for name, value in request.items()}
    return traced(probabilities, **specs)


def _convert(model, function):
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        return converter.convert()
    except Exception as error:  # the converter's own class of errors is not public
        ops = sorted(set(re.findall(r"'tf\.(\w+)' op", str(error))))
        raise ValueError(
            f"LiteRT's built-in ops must hold what a {type(model).__name__} does. Received: {', '.join(ops) or error}"
        ) from error


def _verify(interpreter, model, requests):
    """Median milliseconds of an answer. Raises ExportError unless LiteRT answers as the model does."""
    interpreter.allocate_tensors()
    for request in requests:
        inputs = (tf.constant(request[name]) for name in ("support_images", "support_labels", "query_images"))
        expected = tf.nn.softmax(model.answer(*inputs)).numpy()
        if adapts_head_alone(model) and (request["support_labels"] < 0).any():
            expected = np.full_like(expected, np.nan)
        answered = answer(interpreter, request)
        difference = float(np.max(np.where(np.isnan(expected) & np.isnan(answered), 0.0, np.abs(answered - expected))))
        if not difference <= TOLERANCE:
            raise ExportError(
                f"LiteRT's probabilities must be the model's within {TOLERANCE}. Received: difference {difference}"
            )
    seconds = []
    for _ in range(_TIMED_CALLS):
        start = time.thread_time()  # of this thread, which does all the work: what else the machine does is left out
        interpreter.invoke()
        seconds.append(time.thread_time() - start)
    return 1000 * float(np.median(seconds))
