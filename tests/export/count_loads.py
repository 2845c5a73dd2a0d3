"""Runs a binary, and says on a line of its own each time that it reads a file of weights.

python -m tests.export.count_loads MODULE FLAGS ...
"""

import runpy
import sys

import keras

LINE = "weights read: "
_original = keras.Model.load_weights


def _load_weights(self, path, **options):
    print(f"{LINE}{path}")
    return _original(self, path, **options)


if __name__ == "__main__":
    keras.Model.load_weights = _load_weights
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
