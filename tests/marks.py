"""Which cases are left to `make test-all`."""

import pytest


def slow(*values):
    """A case that `make test` leaves out: of wrong arguments, each of which takes a process, it tries some of every binary."""
    return pytest.param(*values, marks=pytest.mark.slow)
