"""The proof that an export answers as its model does: in a fresh process that cannot import this package."""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf

from export.task_state import CHECKSUM_SIZE, FINGERPRINT_SIZE
from zoo.core import episode

TOLERANCE = 1e-4
_ATTEMPTS = 3  # requests that an export is compared on before it is refused
_NOISE, _NUM_NOISY = 1e-6, 3  # of the pixels, of the size of rounding; and how often the model is asked with it
_SPREADS = 3  # the answers may differ by so many times what the noise moves them by
_MOST_ALLOWED = 0.05  # a task that may differ by more proves nothing


class ExportError(RuntimeError):
    """The export does not answer as the model does; nothing was left behind."""


def verify(model, served, folder):
    """Raises ExportError unless a fresh process answers from `folder` as the Python model does; the requests it answered.

    Where adaptation takes gradients, a request can lie on a kink of a ReLU or of a max-pool, on either side of which rounding
    puts it, and the answers differ by more than rounding does elsewhere. So where they differ, the model is asked again with
    noise of the size of rounding on the images. What the noise moves, the export may move too, task by task; a task that it moves
    far proves nothing. A wrong graph differs where noise does not.
    """
    for seed in range(_ATTEMPTS):
        requests = make_requests(served, model, seed)
        expected = python_answers(model, served, requests)
        requests["task_state"] = expected["adapt/task_state"]
        answers = reload_and_answer(folder, requests)
        difference = _difference(served, expected, answers, {})
        if difference:
            difference = _difference(served, expected, answers, _spread(model, served, requests, expected))
        if not difference:
            return requests
    raise ExportError(f"The reloaded {difference}, with {_ATTEMPTS} of {_ATTEMPTS} requests")


def _spread(model, served, requests, expected):
    """How far noise of the size of rounding moves each answer, by task: {name: float [T]}."""
    spread = {}
    for seed in range(_NUM_NOISY):
        for name, value in python_answers(model, served, requests, np.random.default_rng(seed)).items():
            spread[name] = np.maximum(spread.get(name, 0.0), _distances(name, value, expected[name]))
    return spread


def _difference(served, expected, answers, spread):
    """The first answer that is not the expected one, in words; None where all are."""
    for name, value in expected.items():
        if name.partition("/")[0] not in served.signatures:
            continue
        if answers[name].shape != value.shape:
            return f"{name} must have the model's shape {value.shape}. Received: {answers[name].shape}"
        distances = _distances(name, answers[name], value)
        allowed = TOLERANCE + _SPREADS * spread.get(name, np.zeros_like(distances))
        telling = allowed <= _MOST_ALLOWED
        if not telling.any():
            return (
                f"{name} cannot be compared: rounding alone moves the model's by {spread[name].min():.2g}. Export a model whose "
                f"adaptation is less steep: fewer inner steps, a lower inner learning rate. Received: difference {distances.max():.2g}"
            )
        wrong = telling & ~(distances <= allowed)
        if wrong.any():
            return (
                f"{name} must be the model's within {allowed[wrong].max():.2g}, all that rounding explains: the graph is wrong, "
                f"please report it. Received: difference {distances[wrong].max():.4g}"
            )
    return None


def _distances(name, answers, expected):
    """The largest difference of each task (image of `embed`): [T]."""
    if name.endswith("task_state"):  # the checksum is of the last bit of each number
        place = FINGERPRINT_SIZE + 1 + np.arange(CHECKSUM_SIZE)
        answers, expected = np.delete(answers, place, axis=1), np.delete(expected, place, axis=1)
    difference = np.abs(np.asarray(answers, np.float64) - expected).reshape(len(expected), -1)
    return np.max(np.nan_to_num(difference, nan=np.inf), axis=1, initial=0.0)


def reload_and_answer(folder, requests):
    """The answers of a SavedModel in a process that cannot import this package, by signature and output."""
    script = pathlib.Path(__file__).with_name("reload_check.py")
    with tempfile.TemporaryDirectory() as scratch:
        np.savez(f"{scratch}/requests.npz", **requests)
        folder = str(pathlib.Path(folder).resolve())
        command = [sys.executable, "-I", str(script), folder, "requests.npz", "answers.npz"]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ExportError(f"The export must load in a fresh process. Received: {done.stderr.strip()[-2000:]}")
        with np.load(f"{scratch}/answers.npz") as answers:
            return dict(answers)


def make_requests(served, model, seed, num_tasks=3, num_queries=7):
    """Two ordinary tasks and one with padding. Each class has a pattern, as in data: between images of noise little is stable."""
    rng = np.random.default_rng(seed)
    shot = 2 if 2 * model.way <= served.limits.rows else 1
    labels = np.tile(np.arange(model.way, dtype=np.int64), (num_tasks, shot))
    shape = model.input_shape
    coarse = [-(-size // 4) for size in shape[:-1]] + [shape[-1]] if len(shape) > 1 else shape
    patterns = rng.random((num_tasks, model.way, *coarse), dtype=np.float32)
    for axis, size in enumerate(shape[:-1], start=2):
        patterns = np.repeat(patterns, 4, axis=axis).take(range(size), axis=axis)

    def images(classes):
        chosen = np.take_along_axis(patterns, classes.reshape(num_tasks, -1, *[1] * len(shape)), axis=1)
        return 0.7 * chosen + 0.3 * rng.random(chosen.shape, dtype=np.float32)

    requests = {
        "support_images": images(labels),
        "query_images": images(rng.integers(0, model.way, (num_tasks, num_queries))),
    }
    requests["support_labels"] = labels.copy()
    requests["support_labels"][-1, model.way :] = -1
    requests["support_images"][-1, model.way :] = 0  # as the graph takes them: a state may hold its rows
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


def python_answers(model, served, requests, noise=None):
    """What the Python model answers, by signature and output; with `noise`, a NumPy generator, on the images."""
    labels = requests["support_labels"]

    def given(images):
        images = np.asarray(images)
        if noise is not None:
            images = images * (1 + _NOISE * noise.uniform(-1, 1, images.shape)).astype(np.float32)
        return tf.constant(images)

    def answer(support, query):
        probabilities, state = served.model_answers(given(support), labels, given(query))
        return probabilities.numpy(), state

    expected, state = answer(requests["support_images"], requests["query_images"])
    answers = {
        "adapt/task_state": served.layout.flatten(state).numpy(),
        "adapt/support_count": np.sum(requests["support_labels"] >= 0, axis=1),
        "predict/probabilities": expected,
        "adapt_and_predict/probabilities": expected,
        "serving_default/probabilities": expected,
    }
    if "embed" in served.signatures:
        embeddings = episode.at_least_float32(model.backbone(given(requests["images"]), training=False)).numpy()
        answers["embed/embeddings"] = embeddings.reshape(len(embeddings), -1)
    if "adapt_and_predict_image_bytes" in served.signatures:
        decoded = (served.decode(tf.constant(requests[f"{part}_image_bytes"])) for part in ("support", "query"))
        answers["adapt_and_predict_image_bytes/probabilities"] = answer(*decoded)[0]
    return answers
