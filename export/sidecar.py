"""The file beside an exported graph that says what it is: plain data, for clients."""

import json
import pathlib

SIDECAR_FILE = "adaptation.json"


def read_sidecar(path):
    """The content of an adaptation.json, given as its path, the version folder that holds it, or the content itself: a dict.

    Raises:
        ValueError: where there is no such file, or it is not one of an export.
    """
    if isinstance(path, dict):
        return path
    try:
        path = pathlib.Path(path)
        path = path / SIDECAR_FILE if path.is_dir() else path
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"Expected the {SIDECAR_FILE} of an export. Received: {path}: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"Expected the {SIDECAR_FILE} of an export. Received: {path}: {str(content)[:80]}")
    return content
