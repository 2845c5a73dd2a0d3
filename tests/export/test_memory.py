"""A large model is exported without a second copy of its weights in memory."""

import subprocess
import sys

import pytest

# The process that checks the export by loading it is another one; `ru_maxrss` is of this one alone.
SCRIPT = """
import resource, sys
import zoo
from export import saved_model

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

small = zoo.PrototypicalNetwork(zoo.backbones.mlp((28, 28, 1), (64,)), way=5)
saved_model.export(small, sys.argv[1] + "/small")
model = zoo.PrototypicalNetwork(zoo.backbones.mlp((28, 28, 1), (8000, 8000)), way=5)
before = peak()
saved_model.export(model, sys.argv[1] + "/large")
print(4 * model.count_params(), peak() - before)
"""


@pytest.mark.slow
def test_export_holds_the_weights_once(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    size, growth = map(int, done.stdout.split()[-2:])
    assert size > 200e6
    assert growth < size / 2, f"{size / 1e6:.0f} MB of weights, {growth / 1e6:.0f} MB more at the peak of the export"


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
