import sys

import pytest

from zoo.core import files


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        files.write_text(path, "new \ud800")
    assert path.read_text() == "old" and [*tmp_path.iterdir()] == [path]
    files.write_text(path, "new")
    assert path.read_text() == "new" and [*tmp_path.iterdir()] == [path]


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
