"""Prepared arrays on disk, so that a data set is rendered or decoded once per machine."""

import os
import pathlib
import warnings
import zipfile
import zlib

import numpy as np

from zoo.core.files import replaced_path

CACHE_VARIABLE = "METAZOA_CACHE"


def cache_dir():
    """The folder named by METAZOA_CACHE, or ~/.cache/metazoa."""
    return pathlib.Path(os.environ.get(CACHE_VARIABLE) or pathlib.Path.home() / ".cache" / "metazoa")


def cached_arrays(key, make):
    """The arrays of `make()`, a dict by name, from the cache where `key` is there; written atomically where it is not.

    `key` must name everything that the arrays depend on, the version of the code that makes them included. A cache that
    cannot be read is made again; one that cannot be written costs a warning, not the run.
    """
    path = cache_dir() / f"{key}.npz"
    try:
        with np.load(path) as stored:
            return dict(stored)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        warnings.warn(f"{path} cannot be read ({error}); it is made again.", stacklevel=2)
    arrays = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced_path(path) as scratch:
            np.savez_compressed(scratch, **arrays)
    except OSError as error:
        warnings.warn(f"{path} cannot be written ({error}); the next run prepares the data again.", stacklevel=2)
    return arrays
