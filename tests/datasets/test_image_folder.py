import re

import numpy as np
import pytest
from PIL import Image

from zoo.datasets import image_folder
from zoo.datasets.subsets import SUBSETS


def _write(path, pixels=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((8, 8), np.uint8) if pixels is None else pixels
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path, **options)


def _write_classes(root, names, num_images=2):
    for level, name in enumerate(names):
        for number in range(num_images):
            _write(root / name / f"{number}.png", np.full((8, 8), 10 * level + number, np.uint8))


def _half_black_half_white(side):
    pixels = np.zeros((side, side), np.uint8)
    pixels[:, side // 2 :] = 255
    return pixels


def _single(tmp_path, pixels, image_size=4, suffix=".png", save_options=None, **options):
    """The first image of a class, from two files alike."""
    for number in range(2):
        _write(tmp_path / "train" / "one" / f"{number}{suffix}", pixels, **(save_options or {}))
    return image_folder.load("train", tmp_path, image_size=image_size, **options).images[0]


def test_own_subset_folders_are_kept(tmp_path):
    _write_classes(tmp_path / "train", ["b", "a"])
    _write_classes(tmp_path / "val", ["c"], num_images=3)
    _write_classes(tmp_path / "test", ["d", "e", "f"])
    loaded = {subset: image_folder.load(subset, tmp_path) for subset in SUBSETS}
    assert image_folder.load("train", tmp_path, distortions=True).distorted and not loaded["train"].distorted
    assert loaded["train"].groups is None
    assert {subset: classes.names for subset, classes in loaded.items()} == {
        "train": ("a", "b"),
        "validation": ("c",),
        "trainval": ("a", "b", "c"),
        "test": ("d", "e", "f"),
    }
    assert [len(rows) for rows in loaded["trainval"].members] == [2, 2, 3]
    assert loaded["train"].images.dtype == np.uint8 and loaded["train"].images.shape == (4, 28, 28, 1)
    # "b" was written first, with the levels 0 and 1; "a" with 10 and 11.
    assert loaded["train"].images[:, 14, 14, 0].tolist() == [10, 11, 0, 1]


def test_validation_folder_may_have_its_long_name(tmp_path):
    _write_classes(tmp_path / "train", ["a"])
    _write_classes(tmp_path / "validation", ["b"])
    assert image_folder.load("validation", tmp_path).names == ("b",)


def test_split_is_disjoint_complete_and_seeded(tmp_path):
    names = [f"class{i:02d}" for i in range(10)]
    _write_classes(tmp_path, names)
    parts = {subset: image_folder.load(subset, tmp_path).names for subset in SUBSETS}
    assert [len(parts[subset]) for subset in ("train", "validation", "test")] == [6, 2, 2]
    assert sorted(parts["train"] + parts["validation"] + parts["test"]) == names
    assert parts["trainval"] == tuple(sorted(parts["train"] + parts["validation"]))
    assert parts["train"] == image_folder.load("train", tmp_path).names
    others = {image_folder.load("train", tmp_path, split_seed=seed).names for seed in range(1, 6)}
    assert others != {parts["train"]}


@pytest.mark.parametrize(
    "split, count, expected",
    [((0.01, 0.49, 0.5), 3, [1, 1, 1]), ((0.98, 0.01, 0.01), 5, [3, 1, 1]), ((0.5, 0.25, 0.25), 8, [4, 2, 2])],
)
def test_every_subset_gets_a_class(tmp_path, split, count, expected):
    _write_classes(tmp_path, [str(i) for i in range(count)])
    parts = [image_folder.load(subset, tmp_path, split=split) for subset in ("train", "validation", "test")]
    assert [part.num_classes for part in parts] == expected


def test_hidden_and_foreign_files_are_skipped(tmp_path):
    _write_classes(tmp_path / "train", ["a"])
    _write(tmp_path / "train" / "a" / "2.JPG")
    _write(tmp_path / "train" / "a" / "3.Jpeg")
    (tmp_path / "train" / "a" / ".4.png").write_bytes(b"no image")
    (tmp_path / "train" / "a" / "notes.txt").write_text("no image")
    (tmp_path / "train" / ".git").mkdir()
    classes = image_folder.load("train", tmp_path)
    assert classes.names == ("a",) and [len(rows) for rows in classes.members] == [4]


def test_resizing_averages_and_invert_turns_the_polarity(tmp_path):
    # Columns alternate between 0 and 255: nearest neighbour would give one of them, the average is 127.5.
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    middle = _single(tmp_path, stripes, image_size=8)[2:-2, 2:-2, 0].astype(int)
    assert np.abs(middle - 127.5).max() < 8
    halves = _half_black_half_white(64)
    image = _single(tmp_path, halves)
    assert image[:, 0, 0].tolist() == [0] * 4 and image[:, 3, 0].tolist() == [255] * 4
    inverted = _single(tmp_path, halves, invert=True)
    assert inverted[:, 0, 0].tolist() == [255] * 4 and inverted[:, 3, 0].tolist() == [0] * 4


def test_two_level_images_are_antialiased(tmp_path):
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    grey = _single(tmp_path, stripes, image_size=8)
    for mode in ("1", "P"):
        np.testing.assert_array_equal(_single(tmp_path, Image.fromarray(stripes).convert(mode), image_size=8), grey)


def test_sixteen_bits_are_scaled(tmp_path):
    # 0x8080 is 128 * 257.
    assert _single(tmp_path, np.full((8, 8), 0x8080, np.uint16)).tolist() == np.full((4, 4, 1), 128).tolist()


def test_colour_and_grey(tmp_path):
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    assert _single(tmp_path, red, channels=3)[1, 1].tolist() == [255, 0, 0]
    assert _single(tmp_path, red, channels=1)[1, 1].tolist() == [76]  # ITU-R 601: 0.299 * 255
    grey = np.full((8, 8), 7, np.uint8)
    assert _single(tmp_path, grey, channels=3)[1, 1].tolist() == [7, 7, 7]


@pytest.mark.parametrize("invert, ink", [(True, 0), (False, 255)])
def test_transparent_parts_are_paper(tmp_path, invert, ink):
    pixels = np.full((8, 8, 4), ink, np.uint8)
    pixels[:, :4, 3] = 0
    pixels[:, 4:, 3] = 255
    image = _single(tmp_path, pixels, invert=invert)
    assert image[:, 0, 0].tolist() == [0] * 4 and image[:, 3, 0].tolist() == [255] * 4


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    options = {"suffix": ".jpg", "save_options": {"exif": exif, "quality": 95}}
    image = _single(tmp_path, _half_black_half_white(64), **options)
    assert image[0, 0, 0] > 250 and image[0, 3, 0] < 5


@pytest.mark.parametrize(
    "options, message",
    [
        ({"subset": "all"}, "must be one of ('train', 'validation', 'trainval', 'test'). Received: subset='all'"),
        ({"channels": 4}, "`channels` must be 1 or 3. Received: channels=4"),
        ({"image_size": 0}, "`image_size` must be at least 1 pixel. Received: image_size=0"),
        ({"root": None}, "Received: root=None"),
        ({"split": (0.5, 0.5, 0.5)}, "sum 1. Received: split=(0.5, 0.5, 0.5)"),
        ({"split": (1.0, 0.0, 0.0)}, "three positive fractions"),
        ({"split": (0.5, 0.5)}, "three positive fractions"),
    ],
)
def test_options_out_of_range(tmp_path, options, message):
    _write_classes(tmp_path, ["a", "b", "c"])
    with pytest.raises(ValueError, match=re.escape(message)):
        image_folder.load(**{"root": tmp_path, **options})


def test_root_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must be a folder.*Received: root='.*nowhere'"):
        image_folder.load("train", tmp_path / "nowhere")


def test_no_class_folders(tmp_path):
    _write(tmp_path / "0.png")
    with pytest.raises(ValueError, match="one folder of images per class. Received: no folder in it"):
        image_folder.load("train", tmp_path)


def test_too_few_classes_to_split(tmp_path):
    _write_classes(tmp_path, ["a", "b"])
    with pytest.raises(ValueError, match=r"at least 3 class folders.*Received: 2 \(a, b\)"):
        image_folder.load("train", tmp_path)


def test_subset_without_its_folder(tmp_path):
    _write_classes(tmp_path / "train", ["a"])
    with pytest.raises(ValueError, match="folder 'train' but none for subset='test'"):
        image_folder.load("test", tmp_path)


def test_two_validation_folders(tmp_path):
    for name in ("train", "val", "validation"):
        _write_classes(tmp_path / name, [f"of_{name}"])
    with pytest.raises(ValueError, match=r"one folder for subset='validation'. Received: \['validation', 'val'\]"):
        image_folder.load("train", tmp_path)


def test_class_in_two_subsets(tmp_path):
    _write_classes(tmp_path / "train", ["a", "b"])
    _write_classes(tmp_path / "test", ["b"])
    with pytest.raises(ValueError, match="Received: class 'b' in 'train' and 'test'"):
        image_folder.load("train", tmp_path)


def test_class_without_images(tmp_path):
    _write_classes(tmp_path / "train", ["a"])
    (tmp_path / "train" / "empty").mkdir()
    (tmp_path / "train" / "empty" / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match="Class 'empty' has no images: expected files .png, .jpg, .jpeg"):
        image_folder.load("train", tmp_path)


def test_class_with_one_image(tmp_path):
    _write_classes(tmp_path / "train", ["a"])
    _write(tmp_path / "train" / "lonely" / "0.png")
    with pytest.raises(ValueError, match="at least 2 images. Received: class 'lonely' with 1"):
        image_folder.load("train", tmp_path)


def test_broken_images(tmp_path):
    _write_classes(tmp_path / "train", ["a"])
    broken = tmp_path / "train" / "a" / "broken.png"
    broken.write_bytes(b"no image at all")
    with pytest.raises(ValueError, match=r"broken\.png cannot be read as an image: UnidentifiedImageError"):
        image_folder.load("train", tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    _write(broken, noise)
    broken.write_bytes(broken.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"broken\.png cannot be read as an image: OSError: .*truncated"):
        image_folder.load("train", tmp_path)
