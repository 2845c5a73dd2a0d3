import sys

import numpy as np
import pytest

from zoo.core import distances


def test_squared_euclidean_against_the_definition():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 5, 7)), rng.standard_normal((2, 3, 7))
    expected = ((a[:, :, None] - b[:, None]) ** 2).sum(axis=-1)
    np.testing.assert_allclose(distances.squared_euclidean(a, b), expected, rtol=1e-10)


def test_a_row_has_distance_zero_to_itself_and_never_below():
    a = np.random.default_rng(1).standard_normal((1, 50, 64)).astype(np.float32) * 100
    squared = np.asarray(distances.squared_euclidean(a, a))
    assert squared.min() >= 0
    np.testing.assert_allclose(np.diagonal(squared[0]), 0, atol=1)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
