import sys

import numpy as np
import pytest
import tensorflow as tf

from zoo.datasets.sampler import ImageClasses


@pytest.fixture
def classes():
    """12 classes of 6 images, 4x4; the pixel at (0, 0) is the class, the one at (0, 1) the number within it."""
    images = np.zeros((72, 4, 4, 1), np.uint8)
    images[:, 0, 0, 0] = np.repeat(np.arange(12), 6)
    images[:, 0, 1, 0] = np.tile(np.arange(6), 12)
    return ImageClasses.from_labels(images, np.repeat(np.arange(12), 6), [f"class{i}" for i in range(12)])


def take(dataset, count=1):
    batches = [tf.nest.map_structure(lambda value: value.numpy(), batch) for batch in dataset.take(count)]
    return batches[0] if count == 1 else batches


def identities(images):
    """(class, number) of each image."""
    return np.rint(images[..., 0, :2, 0] * 255).astype(int)


def test_shapes_and_dtypes_are_the_wire_format(classes):
    dataset = classes.episodes(way=3, shot=2, query=1, tasks=4, seed=0)
    x, y = dataset.element_spec
    assert (x["support_x"].shape, x["support_x"].dtype) == ((4, 6, 4, 4, 1), tf.float32)
    assert (x["support_y"].shape, x["support_y"].dtype) == ((4, 6), tf.int64)
    assert (x["query_x"].shape, x["query_x"].dtype) == ((4, 3, 4, 4, 1), tf.float32)
    assert (y.shape, y.dtype) == ((4, 3), tf.int64)


def test_support_and_queries_are_disjoint_and_labels_are_consistent(classes):
    for x, y in take(classes.episodes(way=4, shot=2, query=3, tasks=2, seed=1), 20):
        for task in range(2):
            support, queries = identities(x["support_x"][task]), identities(x["query_x"][task])
            pairs = {tuple(row) for row in np.concatenate([support, queries])}
            assert len(pairs) == 4 * 5  # no image twice
            class_of = dict(zip(x["support_y"][task], support[:, 0]))
            assert len(set(class_of.values())) == 4
            assert [class_of[label] for label in y[task]] == list(queries[:, 0])
            assert (np.bincount(x["support_y"][task]) == 2).all() and (np.bincount(y[task]) == 3).all()


def test_the_same_seed_gives_the_same_episodes_from_any_start(classes):
    options = dict(way=3, shot=1, query=2, tasks=2)
    first = take(classes.episodes(seed=5, **options), 4)
    again = take(classes.episodes(seed=5, start=2, **options), 2)
    other = take(classes.episodes(seed=6, **options), 4)
    for (x, y), (x_again, y_again) in zip(first[2:], again):
        np.testing.assert_array_equal(x["support_x"], x_again["support_x"])
        np.testing.assert_array_equal(y, y_again)
    assert any((a[0]["support_x"] != b[0]["support_x"]).any() for a, b in zip(first, other))


def test_tasks_do_not_depend_on_how_they_are_batched(classes):
    """Two replicas with one task each see what one device with two tasks sees."""
    whole = take(classes.episodes(3, 1, 2, tasks=2, seed=5), 2)
    halves = [take(classes.episodes(3, 1, 2, tasks=1, seed=5, shard=(2, i)), 2) for i in range(2)]
    for step in range(2):
        merged = np.concatenate([halves[i][step][0]["support_x"] for i in range(2)])
        np.testing.assert_array_equal(merged, whole[step][0]["support_x"])


def test_every_class_and_label_comes_up_equally_often(classes):
    batches = take(classes.episodes(way=3, shot=1, query=1, tasks=10, seed=0), 60)
    drawn = np.concatenate([identities(x["support_x"])[..., 0].ravel() for x, _ in batches])
    labels = np.concatenate([x["support_y"].ravel() for x, _ in batches])
    counts = np.zeros((12, 3))
    np.add.at(counts, (drawn, labels), 1)  # expected 50 each, standard deviation about 7
    assert counts.min() > 20 and counts.max() < 90
    positions = np.concatenate([x["support_y"][:, 0] for x, _ in batches])  # the first row may be any class
    assert np.bincount(positions).min() > 150


def test_ranges_are_padded_with_label_minus_one(classes):
    batches = take(classes.episodes(way=(2, 4), shot=(1, 3), query=2, tasks=8, seed=0), 5)
    seen = set()
    for x, y in batches:
        assert x["support_x"].shape == (8, 12, 4, 4, 1) and y.shape == (8, 8)
        for task in range(8):
            labels = x["support_y"][task]
            way, shot = labels.max() + 1, np.bincount(labels[labels >= 0])
            assert (shot == shot[0]).all() and (labels >= 0).sum() == way * shot[0]
            assert (x["support_x"][task][labels < 0] == 0).all()
            assert (y[task] >= 0).sum() == way * 2
            seen.add((int(way), int(shot[0])))
    assert seen == {(way, shot) for way in (2, 3, 4) for shot in (1, 2, 3)}


def test_rotated_classes_are_numpys_rotations(classes):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 4, 4, 1), dtype=np.uint8)
    rotated = ImageClasses(images, (np.array([0, 1]),), ("a",), (0,)).with_rotations()
    assert rotated.num_classes == 4 and len(set(rotated.names)) == 4
    x, _ = take(rotated.episodes(way=4, shot=1, query=1, seed=0))
    expected = {np.rot90(image, k).tobytes() for image in images for k in range(4)}
    drawn = {
        np.rint(image * 255).astype(np.uint8).tobytes() for part in ("support_x", "query_x") for image in x[part][0]
    }
    assert drawn == expected
    np.testing.assert_allclose(rotated.image(1, 0), np.rot90(images[0]) / 255.0, rtol=1e-6)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"way": 13}, "`way` must be at most the number of classes, 12. Received: way=13"),
        ({"way": 1}, "`way` must be an int of at least 2"),
        ({"way": 2.5}, "`way` must be an int"),
        ({"shot": 4, "query": 3}, "class 'class0' has 6. Received: shot=4, query=3"),
        ({"shot": (3, 1)}, "`shot` must be an int of at least 1, or .low, high.. Received: shot=.3, 1."),
        ({"query": 0}, "`query` must be an int of at least 1"),
        ({"seed": 0.5}, "`seed` must be an int of at least 0"),
        ({"tasks": 0}, "`tasks` must be an int of at least 1"),
    ],
)
def test_impossible_counts_are_named(classes, options, message):
    with pytest.raises(ValueError, match=message):
        classes.episodes(**{"way": 3, "shot": 1, "query": 1, **options})


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
