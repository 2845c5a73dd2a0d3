"""Requests padded to sizes that all clients of a server share, so that the server can merge them.

A server with batching merges requests along the first dimension, the tasks, and refuses all of them unless every other dimension
agrees. An export's sidecar names the sizes to pad to; padded rows change no answer, and are cut off again.
"""

import json
import pathlib

import numpy as np

SIZES_KEY = "pad_to"
_SUPPORT, _QUERIES = "support_rows", "query_rows"
_ANSWERS = ("probabilities", "labels")  # with a row per query
_SHOTS = (1, 2, 5, 10, 20, 50)
_QUERY_SIZES = (1, 5, 15, 75, 150)
_PADDING_LABEL = -1


def sizes(way, max_rows):
    """The rows to pad to, a few for any request that an export allows: {"support_rows": [...], "query_rows": [...]}."""
    return {
        _SUPPORT: sorted({min(way * shot, max_rows) for shot in _SHOTS} | {max_rows}),
        _QUERIES: sorted({min(count, max_rows) for count in _QUERY_SIZES} | {max_rows}),
    }


def sizes_of(sidecar):
    """The sizes in an adaptation.json, given as its path or its content: None for an export that names none.

    Raises:
        ValueError: where there is no such file, or it is not one of an export.
    """
    if not isinstance(sidecar, dict):
        try:
            sidecar = json.loads(pathlib.Path(sidecar).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"Expected the adaptation.json of an export. Received: {sidecar}: {error}") from error
    if not isinstance(sidecar, dict) or SIZES_KEY not in sidecar:
        raise ValueError(
            f"Expected the adaptation.json of an export, with {SIZES_KEY!r}. Received: {str(sidecar)[:80]}"
        )
    return sidecar[SIZES_KEY]


def pad(inputs, pad_to):
    """(inputs, (asked, sent)): the named arrays of a request with their rows padded, and how many queries there were and are.

    Padded support rows have the label -1; padded images are zeros, padded files empty. More rows than the largest size stay.
    Without queries, asked and sent are None.
    """
    padded, queries = {}, (None, None)
    for name, value in inputs.items():
        padded[name] = value
        if value.ndim > 1 and name.startswith(("support_", "query_")):
            is_query = name.startswith("query_")
            padded[name] = _pad_rows(value, pad_to[_QUERIES if is_query else _SUPPORT])
            queries = (value.shape[1], padded[name].shape[1]) if is_query else queries
    return padded, queries


def cut(outputs, asked, sent):
    """The answers to the queries that were asked, of those that were sent; what is no answer to them stays as it is."""
    return {
        name: value[:, :asked] if value.ndim > 1 and value.shape[1] == sent and name in _ANSWERS else value
        for name, value in outputs.items()
    }


def _pad_rows(value, to_sizes):
    size = next((size for size in to_sizes if size >= value.shape[1]), value.shape[1])
    filling = b"" if value.dtype == object else _PADDING_LABEL if np.issubdtype(value.dtype, np.integer) else 0
    rows = np.full((value.shape[0], size - value.shape[1], *value.shape[2:]), filling, value.dtype)
    return np.concatenate([value, rows], axis=1)
