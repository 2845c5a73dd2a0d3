"""Counts lowered to classes of given sizes, by hand."""

import json
import sys

import numpy as np
import pytest

import zoo
from tests.trainers.small_runs import make_config, small_classes, train  # noqa: F401
from trainers.fitting import fit_counts
from zoo.datasets.sampler import ImageClasses
from zoo.presets.loader import preset_metadata


def classes_of(*sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return ImageClasses.from_labels(
        np.zeros((len(labels), 2, 2, 1), np.uint8), labels, [str(n) for n in range(len(sizes))]
    )


@pytest.mark.parametrize(
    "sizes, asked, expected",
    [
        ((40, 40, 40), (2, 5, 15), (2, 5, 15)),  # nothing to lower
        ((40, 40, 40), (5, 5, 15), (3, 5, 15)),  # three classes
        ((40, 12, 9), (5, 5, 15), (3, 5, 4)),  # four images of the smallest are left as queries
        ((40, 12, 5), (5, 5, 15), (2, 5, 7)),  # the smallest has no query left
        ((40, 3, 2), (5, 5, 15), (2, 2, 1)),  # two classes have three images
        ((2, 2, 1), (5, 5, 15), (2, 1, 1)),
        ((40, 40, 40), (1, 5, 15), (1, 5, 15)),  # no task: said where all counts are checked, and not of the data
        ((40, 40, 40), (2, 0, 15), (2, 0, 15)),
    ],
)
def test_counts_by_hand(sizes, asked, expected):
    protocol = dict(zip(("way", "shot", "query"), asked))
    config = {
        "fit_counts": True,
        "train": dict(protocol),
        "validation": dict(protocol),
        "evaluation": {"protocols": {}},
    }
    before = json.dumps(config)
    fitted, line = fit_counts(config, {"train": classes_of(*sizes), "validation": classes_of(50, 50, 50, 50, 50)})
    assert tuple(fitted["train"][name] for name in protocol) == expected
    assert fitted["validation"] == protocol and json.dumps(config) == before
    assert (line is None) == (asked == expected)
    assert fit_counts({**config, "fit_counts": False}, None) == ({**config, "fit_counts": False}, None)


def test_a_subset_without_two_classes_is_named_with_what_helps():
    """Four folders of pictures: one of them is for the test."""
    protocol = {"way": 5, "shot": 1, "query": 5}
    config = {
        "fit_counts": True,
        "train": protocol,
        "validation": protocol,
        "evaluation": {"protocols": {"1": protocol}},
    }
    tasks = {"train": classes_of(9, 9), "validation": classes_of(9, 2), "test": classes_of(9)}
    with pytest.raises(ValueError, match=r"'test' must .*split_by` be 'images', .* Received: 1 class, of 9 images$"):
        fit_counts(config, tasks)


def test_one_class_is_not_told_to_be_in_each_subset_where_it_is():
    protocol = {"way": 5, "shot": 1, "query": 5}
    config = {"fit_counts": True, "train": protocol, "validation": protocol, "evaluation": {"protocols": {}}}
    tasks = {"train": classes_of(4).with_image_names("abcd"), "validation": classes_of(9, 2)}
    with pytest.raises(
        ValueError, match=r"'train' must have at least 2 classes of 2 images. Received: 1 class, of 4 images$"
    ):
        fit_counts(config, tasks)


def test_a_protocol_with_fewer_shots_is_called_so_and_stands_once():
    """Classes of four images: five shots become three. Of two images: both protocols are 1-shot with one query."""
    one, five = ({"way": 2, "shot": shot, "query": 5, "overrides": {}} for shot in (1, 5))
    config = {"fit_counts": True, "train": dict(one), "validation": dict(one)}
    config["evaluation"] = {"protocols": {"1shot": one, "5shot": five}}
    tasks = {"train": classes_of(9, 9), "validation": classes_of(9, 9), "test": classes_of(4, 4)}
    fitted = fit_counts(config, tasks)[0]["evaluation"]["protocols"]
    assert {name: (part["shot"], part["query"]) for name, part in fitted.items()} == {
        "1shot": (1, 3),
        "5shot with shot=3": (3, 1),
    }
    fitted, line = fit_counts(config, {**tasks, "test": classes_of(2, 2)})
    assert list(fitted["evaluation"]["protocols"]) == ["1shot"] and line.count("2-way 1-shot with 1 query") == 2


def test_ranges_of_ways_and_shots_are_lowered_too():
    """As configs of Matching Networks have them; regression has no classes to count."""
    part = {"way": [2, 5], "shot": [1, 5], "query": 15}
    config = {"fit_counts": True, "train": part, "validation": dict(part), "evaluation": {"protocols": {}}}
    fitted, line = fit_counts(config, {"train": classes_of(4, 4, 4), "validation": classes_of(40, 40, 40, 40, 40)})
    assert fitted["train"] == {"way": [2, 3], "shot": [1, 3], "query": 1} and fitted["validation"] == part
    assert "train 2 to 3-way 1 to 3-shot with 1 query per class (not 2 to 5-way" in line
    with pytest.raises(ValueError, match="`config.fit_counts` must be False for tasks without classes. Received: True"):
        fit_counts(config, {"train": zoo.datasets.load("sinusoid")})


def test_a_batch_has_at_most_the_images_that_are_there():
    config = {
        "fit_counts": True,
        "train": {"batch": 64, "head": "linear"},
        "validation": {"way": 2, "shot": 1, "query": 1},
    }
    config["evaluation"] = {"protocols": {"one": {"way": 5, "shot": 1, "query": 15, "overrides": {}}}}
    tasks = {"train": classes_of(20, 10), "validation": classes_of(9, 9), "test": classes_of(4, 3)}
    fitted, line = fit_counts(config, tasks)
    assert fitted["train"] == {"batch": 30, "head": "linear"}
    assert line == (
        "fitted to the data: train batches of 30 (not batches of 64); "
        "one 2-way 1-shot with 2 queries per class (not 5-way 1-shot with 15 queries per class)"
    )


def test_a_run_says_what_was_chosen_and_can_be_continued_and_evaluated(tmp_path, capsys):
    """Ten classes of eight images: 20-way becomes 10-way, and 15 queries 7."""
    config = {**make_config(num_steps=2), "fit_counts": True}
    config["train"] = {"way": 20, "shot": 1, "query": 15, "tasks": 1}
    train(config, tmp_path)
    assert "train 10-way 1-shot with 7 queries per class (not 20-way" in capsys.readouterr().out
    assert preset_metadata(tmp_path)["config"]["train"] == {"way": 10, "shot": 1, "query": 7, "tasks": 1}
    config["outer"]["num_steps"] = 4
    train(config, tmp_path)
    assert preset_metadata(tmp_path)["config"]["outer"]["num_steps"] == 4
    assert zoo.from_preset(tmp_path).way is None


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
