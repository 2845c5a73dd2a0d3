"""Requests padded to sizes that all clients of a server share, so that the server can merge them.

A server with batching merges requests along the first dimension, the tasks, whatever else their sizes are, and refuses all of them
unless every other dimension agrees. So there is one number of support rows and one of queries, which an export's sidecar names.
Padded rows change no answer, and are cut off again; more queries than that are asked in parts.
"""

import numpy as np

from export.sidecar import read_sidecar

SIZES_KEY = "pad_to"
SUPPORT_ROWS, QUERY_ROWS = "support_rows", "query_rows"
_SHOT, _QUERIES = 5, 15
_ANSWERS = ("probabilities", "labels")  # with a row per query
_PADDING_LABEL = -1


def sizes(way, limits, support_rows=None, query_rows=None):
    """What clients pad to: {"support_rows": S, "query_rows": Q}, five shots and 15 queries unless said otherwise.

    Raises:
        ValueError: for more rows than a task may have, `export.limits.Limits`.
    """
    most_support, most_queries = limits.rows_of_a_task
    chosen = {
        SUPPORT_ROWS: support_rows or min(_SHOT * way, most_support),
        QUERY_ROWS: query_rows or min(_QUERIES, most_queries),
    }
    if chosen[SUPPORT_ROWS] > most_support or chosen[QUERY_ROWS] > most_queries:
        raise ValueError(
            f"`support_rows` must be at most {most_support} and `query_rows` at most {most_queries}: max_rows and max_images. "
            f"Received: {chosen}"
        )
    return chosen


def sizes_of(sidecar):
    """The sizes in an adaptation.json, given as its path or its content: ints of at least 1.

    Raises:
        ValueError: where there is no such file, it is not one of an export, or its model is transductive: names no sizes.
    """
    sidecar = read_sidecar(sidecar)
    named = sidecar.get(SIZES_KEY)
    counts = [named.get(key) for key in (SUPPORT_ROWS, QUERY_ROWS)] if isinstance(named, dict) else [None]
    if not all(type(count) is int and count >= 1 for count in counts):
        raise ValueError(
            f"Expected the adaptation.json of an export with {SIZES_KEY!r}, which those of transductive models lack. "
            f"Received: {str(sidecar)[:80]}"
        )
    return named


def split(inputs, pad_to):
    """The named arrays of a request as requests of the shared sizes: [(inputs, queries asked, queries sent), ...].

    Padded support rows have the label -1; padded images are zeros, padded files empty. Of a request without queries, asked and
    sent are None.

    Raises:
        ValueError: for more support rows than the shared size.
    """
    support, queries = {}, {}
    for name, value in inputs.items():
        is_padded = value.ndim > 1 and name.startswith(("support_", "query_"))
        (queries if is_padded and name.startswith("query_") else support)[name] = value
    support = {
        name: _pad_rows(value, pad_to[SUPPORT_ROWS]) if name.startswith("support_") and value.ndim > 1 else value
        for name, value in support.items()
    }
    if not queries:
        return [(support, None, None)]
    ((name, rows),) = queries.items()
    size, parts = pad_to[QUERY_ROWS], []
    for start in range(0, max(rows.shape[1], 1), size):
        part = rows[:, start : start + size]
        parts.append(({**support, name: _pad_rows(part, size)}, part.shape[1], size))
    return parts


def join(answers):
    """The answers [(outputs, asked, sent), ...] to the parts of a request as those to the whole.

    An answer that is not one row per query sent stays as it is, for the client to refuse.
    """
    cut = [
        {
            name: value[:, :asked] if name in _ANSWERS and value.ndim > 1 and value.shape[1] == sent else value
            for name, value in outputs.items()
        }
        for outputs, asked, sent in answers
    ]
    try:
        return {
            name: np.concatenate([part[name] for part in cut], axis=1) if name in _ANSWERS and len(cut) > 1 else value
            for name, value in cut[0].items()
        }
    except (KeyError, ValueError):
        return cut[0]


def _pad_rows(value, size):
    if value.shape[1] > size:
        raise ValueError(
            f"A server that merges requests takes at most {size} support rows of this export (`{SIZES_KEY}`): export with more "
            f"--support_rows, or serve without batching. Received: {value.shape[1]} rows"
        )
    filling = b"" if value.dtype == object else _PADDING_LABEL if np.issubdtype(value.dtype, np.integer) else 0
    rows = np.full((value.shape[0], size - value.shape[1], *value.shape[2:]), filling, value.dtype)
    return np.concatenate([value, rows], axis=1)
