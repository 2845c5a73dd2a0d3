"""A CSV file with the classes of images, in place of a folder per class."""

import re
import sys

import numpy as np
import pytest
from PIL import Image

from zoo.datasets import image_folder

ROWS = [(f"pictures/{label}{number}.png", label) for label in ("cat", "dog", "owl") for number in range(2)]


@pytest.fixture
def write_table(tmp_path):
    """A function that writes lines of a table beside 2 pictures each of a cat, a dog and an owl, of levels 0 to 5."""
    (tmp_path / "pictures").mkdir()
    for level, (file, _) in enumerate(ROWS):
        Image.fromarray(np.full((8, 8), level, np.uint8)).save(tmp_path / file)

    def write(*lines, encoding="utf-8"):
        path = tmp_path / "Table.CSV"
        path.write_text("\n".join(lines) + "\n", encoding=encoding)
        return path

    return write


def load(path, subset, **options):
    classes = image_folder.load(subset, path, image_size=8, **options)
    return {name: classes.images[rows, 0, 0, 0].tolist() for name, rows in zip(classes.names, classes.members)}


def test_a_table_without_splits_is_dealt_out_as_a_folder_is(write_table, tmp_path):
    path = write_table("file,label", *(",".join(row) for row in reversed(ROWS)))
    of_table = [load(path, subset) for subset in ("train", "validation", "test")]
    assert sorted(name for part in of_table for name in part) == ["cat", "dog", "owl"]
    assert {name: levels for part in of_table for name, levels in part.items()} == {
        "cat": [0, 1],
        "dog": [2, 3],
        "owl": [4, 5],
    }
    for file, label in ROWS:
        (tmp_path / "folder" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / file).rename(tmp_path / "folder" / label / file.split("/")[1])
    assert [load(tmp_path / "folder", subset) for subset in ("train", "validation", "test")] == of_table


def test_a_table_may_say_the_splits(write_table):
    """As spreadsheets write it: a byte order mark, spaces, columns in another order and case, one file by its whole path."""
    parts = {"cat": "Test", "dog": "train", "owl": "val"}
    lines = [f"{parts[label]}, {file}, {label}" for file, label in ROWS]
    path = write_table("split, file, label", *lines, encoding="utf-8-sig")
    lines[0] = lines[0].replace("pictures", str(path.parent / "pictures"))
    path = write_table("Split, FILE, Label", *lines, encoding="utf-8-sig")
    assert load(path, "test") == {"cat": [0, 1]} and load(path, "trainval") == {"dog": [2, 3], "owl": [4, 5]}


@pytest.mark.parametrize(
    "lines, message",
    [
        (
            ["path,label", "a,b"],
            "must have the columns file, label and perhaps split, with commas between. Received: ['path', ",
        ),
        ([""], "with commas between. Received: []"),
        (["file,label", "pictures/cat0.png,"], "line 2, must have file, label. Received: ['pictures/cat0.png', '']"),
        (["file,label", "pictures/cat0.png,cat,train"], "line 2, must have file, label."),
        (["file,label", "pictures/cat0.png"], "line 2, must have file, label."),
        (["file,label", "pictures/cat0.png,cat", "pictures/cat0.png,dog"], "cat0.png twice, labels 'cat' and 'dog'"),
        (["file,label,split", "pictures/cat0.png,cat,dev"], "line 2: the split must be train, validation or test. Rec"),
        (
            ["file,label,split", "pictures/cat0.png,cat,train", "pictures/cat1.png,cat,test"],
            "unless `split_by` is 'images'. Received: class 'cat' in 'train' and 'test'",
        ),
        (["file,label", *(f"{number}.png,cat" for number in range(9))], "Received: 9 files not there: "),
        (
            ["file,label", "0.png,cat"],
            "must name files that are there, or `on_error` be 'skip'. Received: 1 file not there",
        ),
        (["file;label", "pictures/cat0.png;cat"], "with commas between. Received: ['file;label']"),
        (["file,label,label", "pictures/cat0.png,cat,tom"], "Received: ['file', 'label', 'label']"),
        (
            ["file,label", "pictures/cat0.png,cat", "pictures/../pictures/cat0.png,dog"],
            "which are one, twice, labels 'cat'",
        ),
        (["file,label", "pictures/cat0.png,cat"], "at least 3 classes, one for each of train"),
        (["file,label,split", "pictures/cat0.png,cat,train"], "must have a class of at least 2 images"),
        (["file,label,split", "pictures/cat0.png,cat,test"], "must have the subset 'train', called train or training"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*left out")
def test_what_is_wrong_with_a_table_is_said_in_a_line(write_table, lines, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load(write_table(*lines), "train")
    assert len(str(caught.value).splitlines()) == 1


def test_a_table_may_say_which_images_of_a_class_are_whose(write_table):
    """Two known classes, as many images as there are: nobody deals them out anew."""
    parts = ("train", "test")
    path = write_table(
        "file,label,split", *(f"{file},{label},{parts[n % 2]}" for n, (file, label) in enumerate(ROWS[:4]))
    )
    with pytest.warns(UserWarning, match="2 classes left out"), pytest.raises(ValueError, match="of at least 2 images"):
        load(path, "train", split_by="images")
    rows = [*ROWS[:2], *((file, "cat") for file, _ in ROWS[2:4])]
    path = write_table("file,label,split", *(f"{file},{label},{parts[n // 2]}" for n, (file, label) in enumerate(rows)))
    assert load(path, "train", split_by="images") == {"cat": [0, 1]}
    assert load(path, "test", split_by="images") == {"cat": [2, 3]}


def test_a_table_may_be_written_on_windows(write_table, tmp_path):
    """Backslashes are folders, unless a file here is called so."""
    (tmp_path / "pictures" / "owl1.png").rename(tmp_path / "pictures\\owl1.png")
    lines = [",".join((file.replace("/", "\\"), label, "train")) for file, label in ROWS]
    loaded = load(write_table("file,label,split", *lines), "train")
    assert {name: sorted(levels) for name, levels in loaded.items()} == {"cat": [0, 1], "dog": [2, 3], "owl": [4, 5]}


def test_files_that_are_not_there_are_skipped_when_asked_to(write_table):
    path = write_table("file,label,split", *(f"{file},{label},train" for file, label in ROWS), "gone.png,cat,train")
    with pytest.warns(UserWarning, match="1 file that cannot be read left out: gone.png"):
        assert load(path, "train", on_error="skip") == {"cat": [0, 1], "dog": [2, 3], "owl": [4, 5]}


def test_another_encoding_is_said_with_the_file(write_table):
    path = write_table(
        "file,label", "pictures/cat0.png,chaton n\N{LATIN SMALL LETTER E WITH ACUTE}", encoding="latin-1"
    )
    with pytest.raises(
        ValueError, match=r"Table.CSV must be a CSV file in UTF-8. Received: 'utf-8' codec can't decode"
    ):
        load(path, "train")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
