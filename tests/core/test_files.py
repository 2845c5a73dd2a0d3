import sys

import pytest
from matplotlib.figure import Figure

from zoo.core import files


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        files.write_text(path, "new \ud800")
    assert path.read_text() == "old" and [*tmp_path.iterdir()] == [path]
    files.write_text(path, "new")
    assert path.read_text() == "new" and [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("replaced", [files.replaced, files.replaced_path])
def test_a_full_disk_is_said_with_the_file(replaced, tmp_path):
    """/dev/full can be opened, and not be written."""
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path / 'file'}'$"), replaced(tmp_path / "file"):
        with open("/dev/full", "w") as full:
            full.write("x")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name, written", [("letters", "letters.png"), ("letters.svg", "letters.svg")])
def test_a_picture_is_written_where_matplotlib_writes_it(name, written, tmp_path):
    figure = Figure()
    figure.add_subplot()
    files.save_picture(figure, tmp_path / name)
    assert [file.name for file in tmp_path.iterdir()] == [written]


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
