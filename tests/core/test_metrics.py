import sys

import numpy as np
import pytest

from zoo.core.metrics import EpisodeMean, lower_is_better


def test_mean_and_interval_by_hand():
    metric = EpisodeMean("accuracy")
    metric.update_state([0.5, 1.0])
    metric.update_state([0.0])
    result = metric.result()  # sample standard deviation 0.5
    np.testing.assert_allclose(result["accuracy"], 0.5, rtol=1e-6)
    np.testing.assert_allclose(result["accuracy_ci95"], 1.959964 * 0.5 / np.sqrt(3), rtol=1e-5)


def test_one_episode_has_no_interval_and_reset_forgets():
    metric = EpisodeMean("accuracy")
    metric.update_state([0.7])
    assert float(metric.result()["accuracy_ci95"]) == 0
    metric.reset_state()
    metric.update_state([0.2])
    np.testing.assert_allclose(metric.result()["accuracy"], 0.2, rtol=1e-6)


@pytest.mark.parametrize(
    "name, lower",
    [("accuracy", False), ("validation_accuracy", False), ("accuracy_1st", False), ("mean_squared_error", True)],
)
def test_which_metrics_are_errors(name, lower):
    assert lower_is_better(name) is lower


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
