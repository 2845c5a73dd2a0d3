import sys

import numpy as np
import pytest

from zoo.datasets.cache import cached_arrays


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("METAZOA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_arrays_are_made_once(cache):
    calls = []
    make = lambda: calls.append(1) or {"a": np.arange(3)}  # noqa: E731
    for _ in range(2):
        np.testing.assert_array_equal(cached_arrays("key", make)["a"], [0, 1, 2])
    assert len(calls) == 1 and [path.name for path in cache.iterdir()] == ["key.npz"]


def test_a_broken_cache_is_made_again(cache):
    cache.mkdir()
    (cache / "key.npz").write_bytes(b"half a file")
    with pytest.warns(UserWarning, match="cannot be read"):
        np.testing.assert_array_equal(cached_arrays("key", lambda: {"a": np.ones(1)})["a"], [1])
    np.testing.assert_array_equal(cached_arrays("key", dict)["a"], [1])


@pytest.mark.parametrize("damage", ["cut off", "a byte in its middle"])
def test_a_damaged_cache_is_made_again(cache, damage):
    arrays = {"a": np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8)}
    cached_arrays("key", lambda: arrays)
    data = bytearray((cache / "key.npz").read_bytes())
    middle = len(data) // 2
    data[middle] ^= 255
    (cache / "key.npz").write_bytes(data[:middle] if damage == "cut off" else data)
    with pytest.warns(UserWarning, match="cannot be read .* it is made again"):
        np.testing.assert_array_equal(cached_arrays("key", lambda: arrays)["a"], arrays["a"])
    np.testing.assert_array_equal(cached_arrays("key", dict)["a"], arrays["a"])


def test_a_cache_that_cannot_be_written_costs_a_warning(cache):
    cache.write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="cannot be"):
        np.testing.assert_array_equal(cached_arrays("key", lambda: {"a": np.ones(1)})["a"], [1])


def test_an_interrupted_make_leaves_nothing(cache):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_arrays("key", interrupted)
    assert not cache.exists()


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
