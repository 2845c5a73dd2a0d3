import dataclasses
import json
import sys

import numpy as np
import pytest

from export import limits, padding

SIZES = {"support_rows": 10, "query_rows": 15}


def request(num_support=7, num_queries=3):
    return {
        "support_images": np.ones((2, num_support, 4, 4, 1), np.float32),
        "support_labels": np.ones((2, num_support), np.int64),
        "query_images": np.arange(2 * num_queries * 16, dtype=np.float32).reshape(2, num_queries, 4, 4, 1),
    }


def answers(num_queries):
    return {"probabilities": np.zeros((2, num_queries, 5)), "labels": np.zeros((2, num_queries)), "loss": np.zeros(2)}


def test_all_requests_have_one_shape_and_their_answers_are_cut():
    inputs = request()
    ((padded, asked, sent),) = padding.split(inputs, SIZES)
    shapes = {name: value.shape[:2] for name, value in padded.items()}
    assert shapes == {"support_images": (2, 10), "support_labels": (2, 10), "query_images": (2, 15)}
    assert (asked, sent) == (3, 15) and all(padded[name].dtype == value.dtype for name, value in inputs.items())
    np.testing.assert_array_equal(padded["support_labels"][0], [1] * 7 + [-1] * 3)
    assert padded["support_images"][:, 7:].max() == 0 == padded["query_images"][:, 3:].max()
    joined = padding.join([(answers(15), 3, 15)])
    assert [value.shape for value in joined.values()] == [(2, 3, 5), (2, 3), (2,)]


def test_more_queries_are_asked_in_parts():
    inputs = request(num_queries=32)
    parts = padding.split(inputs, SIZES)
    assert [(asked, sent) for _, asked, sent in parts] == [(15, 15), (15, 15), (2, 15)]
    queries = np.concatenate([part["query_images"][:, :asked] for part, asked, _ in parts], axis=1)
    np.testing.assert_array_equal(queries, inputs["query_images"])
    joined = padding.join([(answers(15), asked, sent) for _, asked, sent in parts])
    assert [value.shape for value in joined.values()] == [(2, 32, 5), (2, 32), (2,)]


def test_no_queries_and_none_asked():
    ((part, asked, sent),) = padding.split(request(num_queries=0), SIZES)
    assert part["query_images"].shape[1] == 15 and (asked, sent) == (0, 15)
    assert padding.join([(answers(15), 0, 15)])["labels"].shape == (2, 0)
    support = {name: value for name, value in request().items() if name != "query_images"}
    ((part, asked, sent),) = padding.split(support, SIZES)
    assert set(part) == set(support) and asked is None and sent is None


def test_what_is_no_answer_stays_for_the_client_to_refuse():
    assert padding.join([(answers(14), 3, 15)])["labels"].shape == (2, 14)
    assert padding.join([(answers(15), 15, 15), ({"labels": np.zeros((7, 2))}, 2, 15)])["labels"].shape == (2, 15)


def test_more_support_rows_than_the_server_merges_are_refused():
    with pytest.raises(ValueError, match="takes at most 10 support rows .* --support_rows, .* Received: 11 rows"):
        padding.split(request(num_support=11), SIZES)


def test_files_are_padded_with_no_bytes_and_states_are_not_padded():
    files = np.array([[b"file\0"] * 2], object)
    ((padded, _, _),) = padding.split({"query_image_bytes": files, "task_state": np.ones((1, 9), np.float32)}, SIZES)
    assert padded["query_image_bytes"].tolist() == [[b"file\0"] * 2 + [b""] * 13]
    assert padded["task_state"].shape == (1, 9)


def test_sizes_are_of_five_shots_unless_the_export_says_otherwise():
    wide = limits.Limits(rows=500, support_images=400, query_images=5000, image_pixels=1)
    assert padding.sizes(5, wide) == {"support_rows": 25, "query_rows": 15}
    assert padding.sizes(5, wide, support_rows=5, query_rows=75) == {"support_rows": 5, "query_rows": 75}
    assert padding.sizes(5, dataclasses.replace(wide, rows=12)) == {"support_rows": 12, "query_rows": 12}
    message = "`support_rows` must be at most 400 and `query_rows` at most 500: .* Received: .*"
    with pytest.raises(ValueError, match=message + "401"):
        padding.sizes(5, wide, support_rows=401)
    with pytest.raises(ValueError, match=message + "501"):
        padding.sizes(5, wide, query_rows=501)


def test_sizes_are_read_from_a_sidecar(tmp_path):
    (tmp_path / "adaptation.json").write_text(json.dumps({"pad_to": SIZES}))
    assert padding.sizes_of(tmp_path / "adaptation.json") == SIZES == padding.sizes_of({"pad_to": SIZES})
    no_sizes = [{"support_rows": count, "query_rows": 5} for count in ("5", 0, -1, True, 2.0)]
    for wrong in ({"way": 5}, {"pad_to": None}, *({"pad_to": sizes} for sizes in no_sizes)):
        with pytest.raises(
            ValueError, match="Expected the adaptation.json of an export with 'pad_to', which those of transd"
        ):
            padding.sizes_of(wrong)
    with pytest.raises(ValueError, match="Expected the adaptation.json of an export. Received: /nowhere"):
        padding.sizes_of("/nowhere")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
