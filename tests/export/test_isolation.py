"""What a request holds reaches no other task of it, and no more of its own than it must: forged, broken, huge, not finite."""

import functools
import json
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from export import client, saved_model
from export.editable_states import checksum
from export.preprocessing import decode_images
from tests import descriptors
from tests.descriptors import IMAGE_SHAPE, WAY, arrays
from tests.export import odd_files
from tests.export.formats import files, saved

MAX_ROWS = 12


@pytest.fixture(params=descriptors.params(descriptors.REPRESENTATIVES), scope="module")
def exported(request, export_of):
    """(local client of an export, its sidecar)."""
    _, folder = export_of(request.param)
    return client.LocalClient(folder), json.loads((folder / saved_model.SIDECAR_FILE).read_text())


def nothing(probabilities, labels):
    return np.isnan(probabilities).all() and (labels == -1).all()


def forged(sidecar, state, entry, value):
    """A state whose entry holds `value`, under a right checksum."""
    layout, way = sidecar["task_state"], sidecar["way"]
    rows = (len(state) - layout["fixed_size"]) // max(layout["size_per_support_row"], 1)
    start, state = layout["header_size"], state.copy()
    for known in layout["entries"]:
        size = int(np.prod([rows if axis is None else axis for axis in known["shape"]]))
        if known["name"] == entry:
            state[start : start + size] = value
        start += size
    assert start == len(state) and way == WAY
    header = layout["header_size"]
    state[header - 2 : header] = checksum(state[header:])
    return state


def test_a_forged_state_leaves_its_neighbour(exported):
    local, sidecar = exported
    support_x, support_y, query_x = arrays(num_tasks=2)
    states = local.adapt(support_x, support_y)
    expected, _ = local.predict(states, query_x)
    for entry in sidecar["task_state"]["entries"]:
        for value in (-1.0, 0.0, 1e30, -1e30):
            changed = np.stack([forged(sidecar, states[0], entry["name"], value), states[1]])
            probabilities, labels = local.predict(changed, query_x)
            np.testing.assert_allclose(probabilities[1], expected[1], rtol=1e-4, atol=1e-6)
            assert set(np.unique(labels[0])) <= {-1, *range(WAY)}


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_what_a_padded_row_holds_changes_nothing(exported, value):
    local, _ = exported
    support_x, support_y, query_x = arrays(num_tasks=2)
    support_y[0, 0] = -1
    expected, _ = local.adapt_and_predict(support_x, support_y, query_x)
    state = local.adapt(support_x, support_y)
    support_x[0, 0] = value
    np.testing.assert_allclose(
        local.adapt_and_predict(support_x, support_y, query_x)[0], expected, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(local.adapt(support_x, support_y), state, rtol=1e-4, atol=1e-5)


def test_numbers_that_are_not_finite_are_answered_with_nothing_for_their_own_task(exported):
    local, sidecar = exported
    support_x, support_y, query_x = arrays(num_tasks=2)
    expected, _ = local.adapt_and_predict(support_x, support_y, query_x)
    broken = support_x.copy()
    broken[0, 1, 3, 3] = np.nan
    probabilities, labels = local.adapt_and_predict(broken, support_y, query_x)
    assert nothing(probabilities[0], labels[0])
    np.testing.assert_allclose(probabilities[1], expected[1], rtol=1e-4, atol=1e-6)
    adapted = local.call("adapt", {"support_images": broken, "support_labels": support_y})
    answers = local.call("predict", {"task_state": adapted["task_state"], "query_images": query_x})
    assert nothing(answers["probabilities"][0], answers["labels"][0]) and np.isnan(adapted["support_loss"][0])
    np.testing.assert_allclose(answers["probabilities"][1], expected[1], rtol=1e-4, atol=1e-6)
    broken = query_x.copy()
    broken[0, 1] = np.inf
    probabilities, labels = local.adapt_and_predict(support_x, support_y, broken)
    assert nothing(probabilities[0, 1], labels[0, 1])
    np.testing.assert_allclose(probabilities[1], expected[1], rtol=1e-4, atol=1e-6)
    if not sidecar["transductive"]:
        np.testing.assert_allclose(
            np.delete(probabilities[0], 1, 0), np.delete(expected[0], 1, 0), rtol=1e-4, atol=1e-6
        )


def test_an_absent_class_stays_absent_at_any_scale(exported):
    local, _ = exported
    support_x, support_y, query_x = arrays(num_tasks=1)
    support_y[support_y == 1] = -1
    for scale in (1.0, 1e3, 1e5, 1e8):
        probabilities, labels = local.adapt_and_predict(scale * support_x, support_y, scale * query_x)
        rows = np.isfinite(probabilities).all(axis=-1)
        assert (probabilities[rows][:, 1] == 0).all() and (labels != 1).all(), scale
    assert rows.any() or scale > 1e5


def test_an_embedding_does_not_depend_on_its_neighbours(exported):
    """A model that normalizes by its batch has no such signature."""
    local, sidecar = exported
    if sidecar["transductive"] or "embed" not in sidecar["signatures"]:
        with pytest.raises(client.ServingError):
            local.call("embed", {"images": np.zeros((1, *IMAGE_SHAPE), np.float32)})
        return
    images = arrays(num_tasks=1)[2][0]
    expected = local.call("embed", {"images": images})["embeddings"]
    images[1], images[2] = 1.0, np.nan
    embeddings = local.call("embed", {"images": images})["embeddings"]
    np.testing.assert_allclose(np.delete(embeddings, [1, 2], 0), np.delete(expected, [1, 2], 0), rtol=1e-4, atol=1e-6)
    assert np.isnan(embeddings[2]).all()
    assert local.call("embed", {"images": images[:0]})["embeddings"].shape == (0, expected.shape[1])


# ---- files

WHOLE = {name: file for name, file in files().items() if name not in ("BMP, 1 bit", "WEBP", "WEBP, alpha")}
BROKEN = {
    "empty": b"",
    "text": b"no image at all",
    "another format": files()["WEBP"],
    "only a PNG signature": WHOLE["PNG, RGB"][:8],
    "PNG without pixels": WHOLE["PNG, RGB"][:33] + WHOLE["PNG, RGB"][-12:],
    "PNG of no width": WHOLE["PNG, RGB"][:16] + b"\0\0\0\0" + WHOLE["PNG, RGB"][20:],
    "JPEG whose size is cut off": WHOLE["JPEG, RGB"][:160],
}


@functools.cache
def decode():
    """As a graph, which is what serves, and many times as fast."""
    signature = [tf.TensorSpec([None, None], tf.string)]  # one trace for any number of files
    return tf.function(lambda files: decode_images(files, (28, 28, 1), False), signature, autograph=False)


def read(files_of_rows):
    return decode()(tf.constant([files_of_rows]))[0].numpy()


def test_a_file_that_is_cut_anywhere_is_not_decoded():
    cuts = [file[: round(part * len(file))] for file in WHOLE.values() for part in (0.02, 0.3, 0.6, 0.9, 0.99)]
    images = read([*BROKEN.values(), *cuts, *(file[:-1] for file in WHOLE.values())])
    assert np.isnan(images).all()
    assert np.isfinite(read(list(WHOLE.values()))).all()


def test_a_file_of_an_impossible_structure_is_not_decoded():
    """A client that does not open its files may send it: it failed whoever was merged with it."""
    found = odd_files.impossible()
    read_ones = {name for name, image in zip(found, read(list(found.values()))) if np.isfinite(image).any()}
    assert not read_ones


def test_a_small_file_that_is_made_to_take_long_is_not_decoded():
    """100 kB were 9 seconds of steps through the parts of a GIF; without such an end, of a JPEG's scans, minutes."""
    found = odd_files.slow()
    assert all(len(file) < 500_000 for file in found.values())
    start = time.process_time()
    read_ones = {name for name, image in zip(found, read(list(found.values()))) if np.isfinite(image).any()}
    assert not read_ones and time.process_time() - start < 10


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "JPEG"])
def test_a_file_with_too_many_pixels_is_not_decoded(kind):
    """Known from the header: 20,000 x 20,000 pixels would be 1.2 GB."""
    small, large = (saved(Image.new("L", size), kind) for size in ((2000, 2000), (2001, 2000)))
    images = read([small, large])
    assert np.isfinite(images[0]).all() and np.isnan(images[1]).all()


def test_a_bomb_is_told_from_its_header():
    header = saved(Image.new("L", (1, 1)), "PNG")
    import zlib

    body = b"IHDR" + (20000).to_bytes(4, "big") * 2 + header[24:29]
    bomb = header[:12] + body + zlib.crc32(body).to_bytes(4, "big") + header[33:]
    assert np.isnan(read([bomb])).all()


def test_a_broken_file_is_answered_with_nothing_for_its_own_task(export_of):
    local = client.LocalClient(export_of("prototypical_network")[1])
    support_x, support_y, query_x = arrays(num_tasks=2)

    def as_files(images):
        rows = [
            [tf.io.encode_png(tf.cast(255 * image / images.max(), tf.uint8)).numpy() for image in task]
            for task in images
        ]
        return np.array(rows, object)

    inputs = {
        "support_image_bytes": as_files(support_x),
        "support_labels": support_y,
        "query_image_bytes": as_files(query_x),
    }
    expected = local.call("adapt_and_predict_image_bytes", inputs)
    for name, file in BROKEN.items():
        support, query = inputs["support_image_bytes"].copy(), inputs["query_image_bytes"].copy()
        support[0, 1], query[1, 2] = file, file
        answers = local.call(
            "adapt_and_predict_image_bytes", {**inputs, "support_image_bytes": support, "query_image_bytes": query}
        )
        assert nothing(answers["probabilities"][0], answers["labels"][0]), name
        assert nothing(answers["probabilities"][1, 2], answers["labels"][1, 2]), name
        kept = [row for row in range(query.shape[1]) if row != 2]
        np.testing.assert_allclose(
            answers["probabilities"][1, kept], expected["probabilities"][1, kept], rtol=1e-4, atol=1e-6
        )
    # A row to ignore is not looked at: a file whose damage the decoder alone sees failed the request there too.
    labels, support = support_y.copy(), inputs["support_image_bytes"].copy()
    labels[0, :2] = -1, WAY
    expected = local.call("adapt_and_predict_image_bytes", {**inputs, "support_labels": labels})
    support[0, :2] = support[0, 0][:45] + b"\0\0" + support[0, 0][47:]
    with pytest.raises(client.ServingError):
        local.call("adapt_and_predict_image_bytes", {**inputs, "support_image_bytes": support})
    padded = {**inputs, "support_image_bytes": support, "support_labels": labels}
    answers = local.call("adapt_and_predict_image_bytes", padded)
    np.testing.assert_allclose(answers["probabilities"], expected["probabilities"], rtol=1e-4, atol=1e-6)


# ---- bounds


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """An export that takes twelve rows and tasks, and thirty images of them together."""
    model = descriptors.build("matching_network")
    return client.LocalClient(
        saved_model.export(model, tmp_path_factory.mktemp("small"), max_rows=MAX_ROWS, max_images=30)
    )


@pytest.mark.parametrize(
    "tasks, rows, queries, message",
    [
        (1, 13, 1, "`support_images` must have at most 12 rows: max_rows of this export"),
        (1, 3, 13, "`query_images` must have at most 12 rows: max_rows of this export"),
        (13, 3, 1, "`support_images` must have at most 12 tasks: max_rows of this export"),
    ],
)
def test_more_than_an_export_allows_is_an_invalid_argument_that_names_the_limit(small, tasks, rows, queries, message):
    images = np.zeros((tasks, 13, *IMAGE_SHAPE), np.float32)
    labels = np.zeros((tasks, rows), np.int64)
    with pytest.raises(client.ServingError, match=message):
        small.adapt_and_predict(images[:, :rows], labels, images[:, :queries])
    files_of = {
        "support_image_bytes": np.full((tasks, rows), b"", object),
        "support_labels": labels,
        "query_image_bytes": np.full((tasks, queries), b"", object),
    }
    with pytest.raises(client.ServingError, match=message.replace("_images", "_image_bytes")):
        small.call("adapt_and_predict_image_bytes", files_of)


def test_what_all_tasks_of_a_request_hold_together_is_bounded(small):
    """Neither of them passes the number of tasks or of rows: 500 times 500 images were 250,000."""
    images, labels = np.zeros((3, 12, *IMAGE_SHAPE), np.float32), np.zeros((3, 12), np.int64)
    state = small.adapt(images[:2], labels[:2])
    small.adapt_and_predict(images[:2], labels[:2], images[:2])
    message = "must have at most 30 rows in all tasks together: max_images of this export"
    with pytest.raises(client.ServingError, match="`support_images` " + message):
        small.adapt_and_predict(images, labels, images[:, :1])
    with pytest.raises(client.ServingError, match="`query_images` " + message):
        small.adapt_and_predict(images[:, :1], labels[:, :1], images)
    with pytest.raises(client.ServingError, match="`task_state` " + message):
        small.predict(np.repeat(state[:1], 3, axis=0), images[:, :1])
    files_of = {"support_image_bytes": np.full((3, 12), b"", object), "support_labels": labels}
    with pytest.raises(client.ServingError, match="`support_image_bytes` " + message):
        small.call("adapt_and_predict_image_bytes", {**files_of, "query_image_bytes": np.full((3, 1), b"", object)})


def test_methods_that_keep_much_of_each_row_take_fewer(export_of):
    """A Meta Network with 1,000 rows took 8 GB: here 4,533 numbers are kept of each row, of 8,388,608 in all."""
    _, folder = export_of("meta_network")
    sidecar = json.loads((folder / saved_model.SIDECAR_FILE).read_text())
    assert sidecar["task_state"]["size_per_support_row"] == 64 + 4468 + 1
    assert sidecar["limits"] == {
        "rows": 500,
        "support_images": 1850,
        "query_images": 4_000_000 // 16**2,
        "image_pixels": 4_000_000,
    }
    images, labels = np.zeros((4, 463, *IMAGE_SHAPE), np.float32), np.zeros((4, 463), np.int64)
    with pytest.raises(client.ServingError, match="`support_images` must have at most 1850 rows in all tasks together"):
        client.LocalClient(folder).adapt(images, labels)


def test_states_and_embeddings_are_bounded_too(small):
    images = np.zeros((1, 12, *IMAGE_SHAPE), np.float32)
    state = small.adapt(images, np.zeros((1, 12), np.int64))
    longer = np.concatenate([state, np.zeros((1, (state.shape[1] - 9) // 12), np.float32)], axis=1)
    with pytest.raises(client.ServingError, match="`task_state` must have at most 12 rows: max_rows of this export"):
        small.predict(longer, images)
    with pytest.raises(client.ServingError, match="`images` must have at most 12 images"):
        small.call("embed", {"images": np.zeros((13, *IMAGE_SHAPE), np.float32)})


def test_bounds_below_what_a_model_needs_are_refused(tmp_path):
    with pytest.raises(
        ValueError,
        match="`max_rows` must be at least 8, `max_images` at least 21 and .* at least 1. Received: max_rows=2,",
    ):
        saved_model.export(descriptors.build("prototypical_network"), tmp_path, max_rows=2)
    with pytest.raises(ValueError, match="Received: max_rows=500, max_images=20,"):
        saved_model.export(descriptors.build("prototypical_network"), tmp_path, max_images=20)
    assert not list(tmp_path.iterdir())


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
