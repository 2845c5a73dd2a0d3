"""What a server answered, checked before a caller sees it."""

import numpy as np

from commands.terminal import printable

_TOLERANCE = 1e-3  # of a sum of probabilities, which may have travelled as decimals


class ServingError(RuntimeError):
    """The model refused a request, could not be reached, or answered what no export answers.

    The message may quote a server: what a terminal would obey, or hide, is written as escapes, and a long text is cut.
    """

    def __init__(self, message):
        super().__init__(printable(message))


def task_states(outputs, num_tasks):
    """`task_state` of an answer: float32 [T, P]. Raises ServingError."""
    states = _array(outputs, "task_state", np.float32, (num_tasks, None))
    if not np.isfinite(states).all():
        tasks = np.flatnonzero(~np.isfinite(states).all(axis=1)).tolist()
        raise ServingError(f"Expected task states of finite numbers. Received: other ones for the tasks {tasks[:10]}")
    return states


def probabilities_and_labels(outputs, num_tasks, num_queries):
    """`probabilities`, float32 [T, Q, N], and `labels`, int64 [T, Q], of an answer.

    A row is N probabilities of sum 1 and the label of the largest; or, for what the model could not answer, NaN and -1.

    Raises:
        ServingError: for anything else.
    """
    probabilities = _array(outputs, "probabilities", np.float32, (num_tasks, num_queries, None))
    labels = _array(outputs, "labels", np.int64, (num_tasks, num_queries))
    num_classes = probabilities.shape[-1]
    refused = np.isnan(probabilities).all(axis=-1) & (labels == -1)
    with np.errstate(invalid="ignore", over="ignore"):
        right = (probabilities >= 0).all(axis=-1) & (np.abs(probabilities.sum(axis=-1) - 1) <= _TOLERANCE)
        right &= (labels >= 0) & (labels < num_classes)
        if num_classes:
            chosen = np.take_along_axis(probabilities, np.clip(labels, 0, num_classes - 1)[..., None], axis=-1)[..., 0]
            right &= chosen >= probabilities.max(axis=-1) - _TOLERANCE
    wrong = np.argwhere(~(right | refused))
    if len(wrong):
        task, query = wrong[0]
        raise ServingError(
            "Expected rows of probabilities with sum 1 and the label of the largest, or of NaN and the label -1. Received: "
            f"{probabilities[task, query].tolist()[:20]} and {labels[task, query]} for query {query} of task {task}"
        )
    return probabilities, labels


def _array(outputs, name, dtype, shape):
    """One output as an array of a dtype and a shape, where None is any size."""
    if name not in outputs:
        raise ServingError(f"Expected an answer with {name!r}. Received: one with {sorted(map(str, outputs))[:10]}")
    value = outputs[name]
    if value.dtype != dtype:
        raise ServingError(f"Expected {name!r} of {np.dtype(dtype)}. Received: {value.dtype}")
    if value.ndim != len(shape) or any(size not in (None, got) for size, got in zip(shape, value.shape)):
        expected = ", ".join("any" if size is None else str(size) for size in shape)
        raise ServingError(f"Expected {name!r} of shape ({expected}). Received: {value.shape}")
    return value
