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
    dataset = classes.episodes(way=3, shot=2, query=1, num_tasks=4, seed=0)
    x, y = dataset.element_spec
    assert (x["support_x"].shape, x["support_x"].dtype) == ((4, 6, 4, 4, 1), tf.float32)
    assert (x["support_y"].shape, x["support_y"].dtype) == ((4, 6), tf.int64)
    assert (x["query_x"].shape, x["query_x"].dtype) == ((4, 3, 4, 4, 1), tf.float32)
    assert (y.shape, y.dtype) == ((4, 3), tf.int64)


def test_support_and_queries_are_disjoint_and_labels_are_consistent(classes):
    for x, y in take(classes.episodes(way=4, shot=2, query=3, num_tasks=2, seed=1), 20):
        for task in range(2):
            support, queries = identities(x["support_x"][task]), identities(x["query_x"][task])
            pairs = {tuple(row) for row in np.concatenate([support, queries])}
            assert len(pairs) == 4 * 5  # no image twice
            class_of = dict(zip(x["support_y"][task], support[:, 0]))
            assert len(set(class_of.values())) == 4
            assert [class_of[label] for label in y[task]] == list(queries[:, 0])
            assert (np.bincount(x["support_y"][task]) == 2).all() and (np.bincount(y[task]) == 3).all()


def test_the_same_seed_gives_the_same_episodes_from_any_start(classes):
    options = dict(way=3, shot=1, query=2, num_tasks=2)
    first = take(classes.episodes(seed=5, **options), 4)
    again = take(classes.episodes(seed=5, start=2, **options), 2)
    other = take(classes.episodes(seed=6, **options), 4)
    for (x, y), (x_again, y_again) in zip(first[2:], again):
        np.testing.assert_array_equal(x["support_x"], x_again["support_x"])
        np.testing.assert_array_equal(y, y_again)
    assert any((a[0]["support_x"] != b[0]["support_x"]).any() for a, b in zip(first, other))


def test_tasks_do_not_depend_on_how_they_are_batched(classes):
    """Two replicas with one task each see what one device with two tasks sees."""
    whole = take(classes.episodes(3, 1, 2, num_tasks=2, seed=5), 2)
    halves = [take(classes.episodes(3, 1, 2, num_tasks=1, seed=5, shard=(2, i)), 2) for i in range(2)]
    for step in range(2):
        merged = np.concatenate([halves[i][step][0]["support_x"] for i in range(2)])
        np.testing.assert_array_equal(merged, whole[step][0]["support_x"])


def test_every_class_and_label_comes_up_equally_often(classes):
    batches = take(classes.episodes(way=3, shot=1, query=1, num_tasks=10, seed=0), 60)
    drawn = np.concatenate([identities(x["support_x"])[..., 0].ravel() for x, _ in batches])
    labels = np.concatenate([x["support_y"].ravel() for x, _ in batches])
    counts = np.zeros((12, 3))
    np.add.at(counts, (drawn, labels), 1)  # expected 50 each, standard deviation about 7
    assert counts.min() > 20 and counts.max() < 90
    positions = np.concatenate([x["support_y"][:, 0] for x, _ in batches])  # the first row may be any class
    assert np.bincount(positions).min() > 150


def test_ranges_are_padded_with_label_minus_one(classes):
    batches = take(classes.episodes(way=(2, 4), shot=(1, 3), query=2, num_tasks=8, seed=0), 5)
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


def all_arrays(dataset, count):
    return [value for x, y in take(dataset, count) for value in (x["support_x"], x["support_y"], x["query_x"], y)]


def test_distortions_depend_on_seed_and_task_number_alone():
    """The same rows and labels as without them, from any start and however batched; support and queries differ."""
    images = np.random.default_rng(0).integers(0, 256, (24, 12, 12, 1), dtype=np.uint8)
    plain = ImageClasses.from_labels(images, np.repeat(np.arange(4), 6), list("abcd"))
    distorted = plain.with_distortions()
    assert distorted.images is plain.images and not plain.distorted
    options = dict(way=3, shot=2, query=2)
    (x, y), later = take(distorted.episodes(num_tasks=2, seed=5, **options), 2)
    (plain_x, plain_y), _ = take(plain.episodes(num_tasks=2, seed=5, **options), 2)
    np.testing.assert_array_equal(x["support_y"], plain_x["support_y"])
    np.testing.assert_array_equal(y, plain_y)
    for part in ("support_x", "query_x"):
        assert (np.abs(x[part] - plain_x[part]).max(axis=(2, 3, 4)) > 0.1).mean() > 0.9  # 1 of 128 is left as it is
    again = take(distorted.episodes(num_tasks=1, seed=5, start=2, **options), 2)
    np.testing.assert_array_equal(np.concatenate([x["support_x"] for x, _ in again]), later[0]["support_x"])
    assert (later[0]["support_x"][0] != take(distorted.episodes(seed=6, start=2, **options))[0]["support_x"][0]).any()


def test_two_drawings_in_a_task_are_distorted_apart():
    """The same picture in all rows: support and query rows take transforms of their own."""
    picture = np.random.default_rng(0).integers(0, 256, (12, 12, 1), dtype=np.uint8)
    same = ImageClasses.from_labels(np.stack([picture] * 24), np.repeat(np.arange(4), 6), list("abcd"))
    x, _ = take(same.with_distortions().episodes(way=4, shot=3, query=3, seed=1))
    rows = np.concatenate([x["support_x"][0], x["query_x"][0]]).reshape(24, -1)
    assert len(np.unique(rows, axis=0)) >= 22


@pytest.fixture
def grouped(classes):
    """Groups of 5, 4 and 3 of the 12 classes, in an order that mixes them."""
    names = ("a", "b", "c", "a", "b", "c", "a", "b", "c", "a", "b", "a")
    return ImageClasses.from_labels(classes.images, np.repeat(np.arange(12), 6), classes.names, names)


def groups_of_tasks(classes, **options):
    """The set of groups in each of 300 tasks of 1 shot."""
    batches = take(classes.episodes(shot=1, query=1, num_tasks=10, seed=0, **options), 30)
    drawn = [identities(rows)[:, 0] for x, _ in batches for rows in x["support_x"]]
    return [[classes.groups[index] for index in task] for task in drawn], drawn


def test_tasks_within_groups_draw_one_group_all_equally_often(grouped):
    groups, drawn = groups_of_tasks(grouped, way=3, within_groups=True)
    assert all(len(set(task)) == 1 for task in groups) and all(len(set(task)) == 3 for task in drawn)
    counts = np.unique([task[0] for task in groups], return_counts=True)[1]
    assert counts.min() > 70 and counts.max() < 130  # of 300; standard deviation about 8
    assert len(np.unique(np.concatenate(drawn))) == 12
    groups, _ = groups_of_tasks(grouped, way=4, within_groups=True)
    assert {task[0] for task in groups} == {"a", "b"}  # c has 3 classes
    groups, _ = groups_of_tasks(grouped, way=3)
    assert any(len(set(task)) > 1 for task in groups)


def test_a_way_drawn_within_groups_finds_a_group_that_has_it(grouped):
    for x, _ in take(grouped.episodes(way=(2, 5), shot=1, query=1, num_tasks=10, seed=0, within_groups=True), 10):
        for task in range(10):
            labels = x["support_y"][task]
            drawn = identities(x["support_x"][task])[labels >= 0, 0]
            assert len(set(drawn)) == labels.max() + 1 and len({grouped.groups[index] for index in drawn}) == 1


def test_groups_follow_selection_and_rotation(grouped):
    assert grouped.select([1, 3, 5]).groups == ("b", "a", "c")
    rotated = grouped.with_rotations()
    assert len(rotated.groups) == 48 and len(set(rotated.groups)) == 12
    for name, group, turns in zip(rotated.names, rotated.groups, rotated.quarter_turns):
        upright = grouped.groups[grouped.names.index(name.split("/")[0])]
        assert group == f"{upright}/rot{90 * turns:03d}"
    assert rotated.with_distortions().groups == rotated.groups


def test_tasks_within_groups_are_of_one_orientation(grouped):
    """A rotated image has its marks in another corner."""
    corner = {0: (0, 0), 1: (3, 0), 2: (3, 3), 3: (0, 3)}
    images = np.zeros((72, 4, 4, 1), np.uint8)
    images[:, 0, 0, 0] = 255
    marked = ImageClasses(images, grouped.members, grouped.names, grouped.quarter_turns, grouped.groups)
    for x, _ in take(marked.with_rotations().episodes(way=3, shot=1, query=1, num_tasks=5, within_groups=True), 4):
        for task in x["support_x"]:
            assert any(task[:, row, column].all() for row, column in corner.values())


def test_impossible_groups_are_named(classes, grouped):
    with pytest.raises(ValueError, match="`way` within groups must be at most .*, 5 of 'a'. Received: way=6"):
        grouped.episodes(way=6, shot=1, query=1, within_groups=True)
    with pytest.raises(ValueError, match="`within_groups` needs classes with groups, and these have none"):
        classes.episodes(way=2, shot=1, query=1, within_groups=True)


def test_episodes_of_published_figures_stay_the_same(classes):
    """The draws of seed 7 as the sampler has always made them: other draws would change every figure."""
    x, y = take(classes.episodes(way=3, shot=1, query=1, num_tasks=2, seed=7))
    assert identities(x["support_x"]).tolist() == [[[2, 5], [11, 3], [10, 2]], [[6, 5], [2, 5], [10, 3]]]
    assert x["support_y"].tolist() == [[1, 2, 0], [1, 0, 2]] and y.tolist() == [[1, 2, 0], [1, 2, 0]]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"way": 13}, "`way` must be at most the number of classes, 12. Received: way=13"),
        ({"way": 1}, "`way` must be an int of at least 2"),
        ({"way": 2.5}, "`way` must be an int"),
        ({"shot": 4, "query": 3}, "class 'class0' has 6. Received: shot=4, query=3"),
        ({"shot": (3, 1)}, "`shot` must be an int of at least 1, or .low, high.. Received: shot=.3, 1."),
        ({"way": True}, "`way` must be an int of at least 2"),
        ({"seed": 2**63}, "`seed` must be an int from 0 to 9223372036854775807. Received: seed=9223372036854775808"),
        ({"seed": -1}, "`seed` must be .* Received: seed=-1"),
        ({"query": (1, 2)}, "`query` must be an int of at least 1. Received: query=.1, 2."),
        ({"start": -1}, "`start` must be an int from 0 to .* Received: start=-1"),
        ({"shard": (2, 2)}, "`shard` must be .number of shards, index below it.. Received: shard=.2, 2."),
        ({"shard": 2}, "Received: shard=2"),
        ({"within_groups": "no"}, "`within_groups` must be True or False. Received: within_groups='no'"),
        ({"query": 0}, "`query` must be an int of at least 1"),
        ({"seed": 0.5}, "`seed` must be an int from 0 to 9223372036854775807. Received: seed=0.5"),
        ({"num_tasks": 0}, "`num_tasks` must be an int of at least 1"),
    ],
)
def test_impossible_counts_are_named(classes, options, message):
    with pytest.raises(ValueError, match=message):
        classes.episodes(**{"way": 3, "shot": 1, "query": 1, **options})


def test_the_highest_seed_and_counts_of_numpy_are_taken(classes):
    x, _ = take(classes.episodes(way=np.int64(3), shot=np.int32(1), query=1, seed=2**63 - 1))
    assert x["support_x"].shape == (1, 3, 4, 4, 1)


@pytest.mark.parametrize("options", [{"way": 4}, {"way": (2, 4)}, {"way": 3, "within_groups": True}])
def test_the_classes_of_a_task_can_be_named(grouped, options):
    """The names say of each label which class the images of the task are of."""
    options = {"shot": 1, "query": 2, "seed": 3, **options}
    x, _ = take(grouped.episodes(num_tasks=6, **options))
    for number in range(6):
        names = grouped.drawn_names(number, **options)
        labels = x["support_y"][number]
        assert len(names) == labels.max() + 1
        for label, (drawn, _) in zip(labels, identities(x["support_x"][number])):
            assert label < 0 or names[label] == grouped.names[drawn]


def test_classes_too_small_for_an_episode_are_left_out_and_counted(classes, recwarn):
    """Classes 0 and 3 have 2 images: at 5 images an episode they are never drawn, at 2 they are."""
    members = tuple(rows[:2] if index in (0, 3) else rows for index, rows in enumerate(classes.members))
    uneven = ImageClasses(classes.images, members, classes.names, classes.quarter_turns)
    options = dict(way=4, shot=2, query=3)
    for _ in range(2):  # said once
        batches = take(uneven.episodes(num_tasks=10, **options), 5)
    drawn = {index for x, _ in batches for index in identities(x["support_x"])[..., 0].ravel()}
    assert drawn == set(range(12)) - {0, 3}
    names = {name for number in range(50) for name in uneven.drawn_names(number, **options)}
    assert names == {f"class{index}" for index in drawn}
    (warning,) = recwarn.list
    assert str(warning.message) == (
        "2 classes of 12 left out, with fewer than the 5 images of an episode: class0, class3"
    )
    assert set(identities(take(uneven.episodes(12, 1, 1))[0]["support_x"])[0, :, 0]) == set(range(12))
    with pytest.raises(
        ValueError, match="10 of 12 have as many, class 'class0' has 2. Received: shot=2, query=3, way=11"
    ):
        uneven.episodes(way=11, shot=2, query=3)


def test_a_data_set_shows_itself_in_a_line(classes, grouped):
    assert repr(classes) == "ImageClasses(12 classes, 72 images of 4x4x1)"
    assert repr(grouped.select([0]).with_distortions()) == (
        "ImageClasses(1 class in 1 group, 6 images of 4x4x1, distorted)"
    )


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
