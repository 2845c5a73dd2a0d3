import sys

import numpy as np
import pytest
from PIL import Image

from zoo.datasets.pictures import plot_episode


def colour_counts(path):
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    near = lambda colour: int((np.abs(pixels - colour).max(axis=-1) < 40).sum())  # noqa: E731
    return {"green": near((44, 160, 44)), "red": near((214, 39, 40)), "blue": near((31, 119, 180))}


@pytest.mark.parametrize("channels", [1, 3])
def test_right_answers_are_green_and_wrong_ones_red(tmp_path, channels):
    images = np.zeros((1, 4, 8, 8, channels), np.float32)
    y = np.array([[0, 0, 1, 1]])
    x = {"support_x": images[:, :2], "support_y": np.array([[0, 1]]), "query_x": images}
    right = np.eye(2)[y]
    plot_episode(tmp_path / "right.png", x, y, right)
    plot_episode(tmp_path / "wrong.png", x, y, 1 - right)
    right, wrong = colour_counts(tmp_path / "right.png"), colour_counts(tmp_path / "wrong.png")
    assert right["green"] > 0 and right["red"] == 0 and right["blue"] > 0
    assert wrong["red"] > 0 and wrong["green"] == 0


def test_regression_shows_function_and_support(tmp_path):
    points = np.linspace(-5, 5, 20, dtype=np.float32).reshape(1, 20, 1)
    x = {"support_x": points[:, ::4], "support_y": np.sin(points[:, ::4]), "query_x": points}
    plot_episode(tmp_path / "curve.png", x, np.sin(points), np.cos(points))
    assert colour_counts(tmp_path / "curve.png")["blue"] > 100


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
