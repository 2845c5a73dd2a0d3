import sys

import pytest

from zoo.core import files


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        files.write_text(path, "new \ud800")
    assert path.read_text() == "old"
    files.write_text(path, "new")
    assert path.read_text() == "new" and [*tmp_path.iterdir()] == [path]


def test_a_folder_is_made_and_left_empty(tmp_path):
    folder = files.writable_folder(tmp_path / "a" / "b", "--output_dir")
    assert folder.is_dir() and not list(folder.iterdir())


def test_a_folder_that_cannot_be_written_is_named_with_its_flag(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="`--workdir` must be a folder that can be written. Received: .*file: "):
        files.writable_folder(tmp_path / "file", "--workdir")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
