import json
import sys

import numpy as np
import pytest

from export import padding

SIZES = {"support_rows": [5, 10], "query_rows": [1, 15]}


def test_rows_are_padded_to_the_next_size_and_answers_cut():
    inputs = {
        "support_images": np.ones((2, 7, 4, 4, 1), np.float32),
        "support_labels": np.ones((2, 7), np.int64),
        "query_images": np.ones((2, 3, 4, 4, 1), np.float32),
    }
    padded, queries = padding.pad(inputs, SIZES)
    assert {name: value.shape[:2] for name, value in padded.items()} == {
        "support_images": (2, 10),
        "support_labels": (2, 10),
        "query_images": (2, 15),
    }
    assert queries == (3, 15) and all(padded[name].dtype == value.dtype for name, value in inputs.items())
    np.testing.assert_array_equal(padded["support_labels"][0], [1] * 7 + [-1] * 3)
    assert padded["support_images"][:, 7:].max() == 0 == padded["query_images"][:, 3:].max()
    outputs = {"probabilities": np.zeros((2, 15, 5)), "labels": np.zeros((2, 15)), "support_loss": np.zeros(2)}
    cut = padding.cut(outputs, *queries)
    assert (cut["probabilities"].shape, cut["labels"].shape, cut["support_loss"].shape) == ((2, 3, 5), (2, 3), (2,))
    fewer = {"labels": np.zeros((2, 14))}  # than were sent: the client refuses them, and must see them
    assert padding.cut(fewer, *queries)["labels"].shape == (2, 14)


def test_files_are_padded_with_no_bytes_and_states_are_not_padded():
    files = np.array([[b"file\0"] * 2], object)
    padded, _ = padding.pad({"query_image_bytes": files, "task_state": np.ones((1, 9), np.float32)}, SIZES)
    assert padded["query_image_bytes"].tolist() == [[b"file\0"] * 2 + [b""] * 13]
    assert padded["task_state"].shape == (1, 9)


def test_what_fits_no_size_stays():
    inputs = {"query_images": np.ones((1, 16, 4), np.float32)}
    padded, queries = padding.pad(inputs, SIZES)
    assert padded["query_images"].shape == (1, 16, 4) and queries == (16, 16)


def test_any_request_that_an_export_allows_has_a_size():
    sizes = padding.sizes(way=5, max_rows=40)
    assert sizes == {"support_rows": [5, 10, 25, 40], "query_rows": [1, 5, 15, 40]}


def test_sizes_are_read_from_a_sidecar(tmp_path):
    (tmp_path / "adaptation.json").write_text(json.dumps({"pad_to": SIZES}))
    assert padding.sizes_of(tmp_path / "adaptation.json") == SIZES == padding.sizes_of({"pad_to": SIZES})
    assert padding.sizes_of({"pad_to": None}) is None
    with pytest.raises(ValueError, match="Expected the adaptation.json of an export, with 'pad_to'"):
        padding.sizes_of({"way": 5})
    with pytest.raises(ValueError, match="Expected the adaptation.json of an export. Received: /nowhere"):
        padding.sizes_of("/nowhere")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
