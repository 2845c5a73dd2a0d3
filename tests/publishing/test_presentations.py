"""Accuracy by presentation on its way from a model to its card."""

import sys

import keras
import numpy as np
import pytest
from PIL import Image

import zoo
from publishing import presentations
from publishing.results import describe_protocol
from trainers import protocols
from zoo.datasets.sampler import ImageClasses

RESULTS = [
    {"protocol": "5way", "presentations": [[0.25, 0.01], [0.5, 0.02], [0.755, 0.003]]},
    {"protocol": "other", "mean": 0.5},
    {"protocol": "short", "presentations": [[0.2, 0.01]]},
]


def test_evaluation_carries_as_many_presentations_as_the_shot():
    images = np.random.default_rng(0).integers(0, 256, (60, 16, 16, 1), dtype=np.uint8)
    tasks = ImageClasses.from_labels(images, np.repeat(np.arange(6), 10), list("abcdef"))
    keras.utils.set_random_seed(0)
    protocol = {"way": 3, "shot": 4, "query": 1, "overrides": {}}
    backbone = zoo.backbones.pixels((16, 16, 1))
    model = zoo.LSTMBaseline(backbone, way=3, controller_size=8)
    result = protocols.evaluate_model(model, tasks, protocol, 8, 4, "test", 0)
    assert np.shape(result["presentations"]) == (4, 2)
    assert all(0 <= mean <= 1 and 0 <= ci95 < 1 for mean, ci95 in result["presentations"])
    assert "presentations" not in describe_protocol({**result, "protocol": "3way"})
    other = protocols.evaluate_model(zoo.PrototypicalNetwork(backbone), tasks, protocol, 8, 4, "test", 0)
    assert "presentations" not in other


def test_table_has_every_presentation_with_its_interval():
    assert presentations.presentations_table(presentations.presentation_curves(RESULTS)).splitlines() == [
        "| presentation | 1 | 2 | 3 |",
        "|---|---|---|---|",
        "| 5way | 25.0 ± 1.0 | 50.0 ± 2.0 | 75.5 ± 0.3 |",
        "| short | 20.0 ± 1.0 |  |  |",
    ]
    assert presentations.presentations_table({}) == ""


def test_plot_is_written_where_a_result_has_presentations(tmp_path):
    presentations.plot_presentations(tmp_path / "none.png", presentations.presentation_curves(RESULTS[1:2]))
    assert not (tmp_path / "none.png").exists()
    presentations.plot_presentations(tmp_path / "some.png", presentations.presentation_curves(RESULTS))
    assert Image.open(tmp_path / "some.png").size[0] > 500


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
