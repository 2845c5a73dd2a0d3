import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
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


@pytest.fixture
def titles(monkeypatch):
    """A function that draws an episode and gives the titles above its images, by row of the picture."""

    def drawn(path, *arguments):
        figures = []

        def savefig(self, *options, original=Figure.savefig, **more):
            figures.append(self)
            original(self, *options, **more)

        monkeypatch.setattr(Figure, "savefig", savefig)
        plot_episode(path, *arguments)
        rows = {}
        for axis in figures[0].axes:
            rows.setdefault(axis.get_subplotspec().rowspan.start, []).append(axis.get_title())
        return [[title for title in row if title] for row in rows.values()], figures[0].get_suptitle().split("\n")[0]

    return drawn


def test_images_are_called_by_the_names_of_their_classes(tmp_path, titles, recwarn):
    """Names that markup, fonts and width might break; the query of the second class is taken for the first."""
    images = np.zeros((1, 4, 8, 8, 1), np.float32)
    x = {"support_x": images[:, :2], "support_y": np.array([[1, 0]]), "query_x": images[:, :2]}
    names = ("$x_{1$", "Canadian_Syllabics/some \u4e2d character")
    rows, headline = titles(tmp_path / "named.png", x, np.array([[0, 1]]), np.eye(2)[[[0, 0]]], names)
    short = "\N{HORIZONTAL ELLIPSIS} \u4e2d character"
    assert rows == [["$x_{1$", "$x_{1$"], [short, f"$x_{{1$,\nnot {short}"]] and headline == "1 of 2 queries right"
    names = ("Canadian_Syllabics/U+1401", "Latin/U+0041")
    rows, _ = titles(tmp_path / "grouped.png", x, np.array([[0, 1]]), np.eye(2)[[[0, 1]]], names)
    assert rows == [["U+1401", "U+1401"], ["Latin/U+0041", "Latin/U+0041"]]
    rows, _ = titles(tmp_path / "unnamed.png", x, np.array([[0, 1]]), np.eye(3)[[[0, 2]]])
    assert rows == [["0", "0"], ["1", "2,\nnot 1"]]
    assert not recwarn.list


def test_padded_rows_are_not_shown(tmp_path, titles):
    """A task of 2 classes, 1 shot, among tasks of 3 classes and 2 shots."""
    images = np.zeros((1, 6, 8, 8, 1), np.float32)
    x = {"support_x": images, "support_y": np.array([[1, 0, -1, -1, -1, -1]]), "query_x": images[:, :3]}
    rows, headline = titles(tmp_path / "padded.png", x, np.array([[0, 1, -1]]), np.eye(3)[[[0, 1, 0]]], ("cat", "dog"))
    assert rows == [["cat", "cat"], ["dog", "dog"]] and headline == "2 of 2 queries right"


def test_regression_shows_function_and_support(tmp_path):
    points = np.linspace(-5, 5, 20, dtype=np.float32).reshape(1, 20, 1)
    x = {"support_x": points[:, ::4], "support_y": np.sin(points[:, ::4]), "query_x": points}
    plot_episode(tmp_path / "curve.png", x, np.sin(points), np.cos(points))
    assert colour_counts(tmp_path / "curve.png")["blue"] > 100


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
