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
