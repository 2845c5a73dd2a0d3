import sys

import numpy as np
import pytest
from PIL import Image

from publishing.contact_sheet import contact_sheet
from tests.binaries import run
from tests.datasets.prepared_tfds import prepare
from zoo.datasets.sampler import ImageClasses


def test_contact_sheet_has_classes_as_rows():
    # Two classes of 2x2 images, one with a single image, between gaps of 2 pixels.
    images = np.stack([np.full((2, 2, 1), level, np.uint8) for level in (10, 20, 30)])
    sheet = contact_sheet(ImageClasses.from_labels(images, np.array([0, 0, 1]), ["a", "b"]), 5, 2)
    assert sheet.shape == (10, 10) and sheet.dtype == np.uint8
    assert sheet[2::4, 2::4][:2, :2].tolist() == [[10, 20], [30, 0]]
    with pytest.raises(ValueError, match="Received: num_classes=0, num_images=20"):
        contact_sheet(ImageClasses.from_labels(images, np.array([0, 0, 1]), ["a", "b"]), 0)


@pytest.mark.parametrize("channels", [1, 3])
def test_names_stand_to_the_left_of_their_rows(channels):
    images = np.full((3, 20, 20, channels), 100, np.uint8)
    classes = ImageClasses.from_labels(images, np.arange(3), ["", "W" * 9, "Greek/U+03C0"])
    plain, named = contact_sheet(classes, 3, 2), contact_sheet(classes, 3, 2, names=True)
    width = named.shape[1] - plain.shape[1]
    np.testing.assert_array_equal(named[:, width:], plain)
    margin = named[:, :width].reshape(len(named), -1)
    inked = [(margin[1 + row * 22 : 1 + (row + 1) * 22] > 128).sum() for row in range(3)]
    assert inked[0] == 0 and inked[1] > 100 and inked[2] > 100
    assert not margin[:, [0, -1]].any()  # the longest name fits


def test_a_folder_of_ones_own_is_shown_with_what_is_left_out_in_a_line(tmp_path):
    for name in ("cat", "dog", "bird"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (8, 8), "red").save(tmp_path / "data" / name / f"{number}.png")
        (tmp_path / "data" / name / "2.tiff").write_bytes(b"")
    output = tmp_path / "sheet.png"
    done = run("publishing.show_classes", "--dataset=image_folder", f"--root={tmp_path / 'data'}", f"--output={output}")
    assert done.returncode == 0 and done.stdout.splitlines() == [
        f"{output}: 1 of 1 classes of test",
        *(f"{subset}: 1 class, 2 images, 2 of each" for subset in ("train", "validation", "test")),
    ]
    kinds = ".png, .jpg, .jpeg, .jfif, .gif, .bmp, .webp"
    lines = [line for line in done.stderr.splitlines() if "warn" in line.lower() and "absl::" not in line]
    assert lines == [
        f"warning: {tmp_path / 'data'}: 3 files in class folders left out, for being none of {kinds}: 3 .tiff"
    ]
    assert np.asarray(Image.open(output)).shape[2] == 3


def test_a_subset_that_is_not_there_is_told_beside_the_one_that_is_shown(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "data" / "train" / name).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (8, 8), "red").save(tmp_path / "data" / "train" / name / f"{number}.png")
    options = ["--dataset=image_folder", f"--root={tmp_path / 'data'}", f"--output={tmp_path / 'sheet.png'}"]
    done = run("publishing.show_classes", "--subset=train", *options)
    _, train, *others = done.stdout.splitlines()
    assert done.returncode == 0 and train == "train: 2 classes, 4 images, 2 of each"
    assert [line.partition("; 'train' gives")[0] for line in others] == [
        f"{subset}: not there: {tmp_path / 'data'} must have the subset '{subset}', called {called}. Received: train"
        for subset, called in (("validation", "validation or val or valid"), ("test", "test or testing"))
    ]


def test_a_prepared_data_set_is_shown_with_its_counts(tmp_path):
    prepare(tmp_path, {"train": ["ant"], "validation": ["bee"], "test": ["cow", "dog"]})
    output = tmp_path / "sheet.png"
    options = ["--dataset=tfds", "--name=small_photos", f"--data_dir={tmp_path}", f"--output={output}", "--classes=1"]
    done = run("publishing.show_classes", *options)
    assert done.returncode == 0 and done.stdout.splitlines() == [
        f"{output}: 1 of 2 classes of test",
        "train: 1 class, 3 images, 3 of each",
        "validation: 1 class, 3 images, 3 of each",
        "test: 2 classes, 6 images, 3 of each",
    ], done.stderr
    assert np.asarray(Image.open(output)).shape[2] == 3
    done = run("publishing.show_classes", "--name=small_photos", f"--output={output}")
    assert done.returncode != 0 and "with --dataset=tfds, and with no other" in done.stderr


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
