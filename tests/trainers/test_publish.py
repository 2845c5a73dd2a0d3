import sys

import h5py
import numpy as np
import pytest

import zoo
from trainers.publish import store_as_float16


def test_weights_of_half_the_size_load_as_float32(tmp_path):
    model = zoo.PrototypicalNetwork(zoo.backbones.conv4())
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    before = path.stat().st_size
    assert store_as_float16(path) == path.stat().st_size < 0.55 * before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    again = zoo.PrototypicalNetwork(zoo.backbones.conv4())
    again.load_weights(path)
    for found, weights in zip(again.get_weights(), model.get_weights(), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, weights.astype(np.float16).astype(np.float32))


def test_whole_numbers_keep_their_type(tmp_path):
    path = tmp_path / "some.h5"
    with h5py.File(path, "w") as file:
        file["seeds/state"] = np.array([2**31 + 1, 7], np.uint32)
        file["seeds"].attrs["name"] = "seeds"
    store_as_float16(path)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["seeds/state"], np.array([2**31 + 1, 7], np.uint32))
        assert file["seeds"].attrs["name"] == "seeds"


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
