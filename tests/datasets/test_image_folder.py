import os
import re
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from zoo.datasets import image_folder, image_store
from zoo.datasets.image_files import files_below, pixels_of
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


def test_every_class_is_in_each_subset_with_images_of_its_own(tmp_path):
    _write_classes(tmp_path, ["cat", "dog"], num_images=10)
    _write_classes(tmp_path, ["owl"], num_images=5)
    options = dict(root=tmp_path, split_by="images", split=(0.5, 0.25, 0.25))
    with pytest.warns(UserWarning, match=r"1 class left out, of fewer than 6 images, 2 for each subset: owl \(5\)"):
        loaded = {subset: image_folder.load(subset, **options) for subset in SUBSETS}
    for subset, count in (("train", 5), ("validation", 2), ("test", 3), ("trainval", 7)):
        assert loaded[subset].names == ("cat", "dog")
        assert [len(rows) for rows in loaded[subset].members] == [count, count], subset
    files = {subset: classes.image_names for subset, classes in loaded.items()}
    parts = files["train"] + files["validation"] + files["test"]
    assert sorted(parts) == sorted(f"{name}/{number}.png" for name in ("cat", "dog") for number in range(10))
    assert sorted(files["trainval"]) == sorted(files["train"] + files["validation"])
    # An image shows its number, and "dog" 10 more: the names are those of the pixels.
    for classes in loaded.values():
        expected = [10 * (name[:3] == "dog") + int(name[4]) for name in classes.image_names]
        assert classes.images[:, 14, 14, 0].tolist() == expected
    assert image_folder.load("test", **options).image_names == files["test"]
    assert image_folder.load("test", **options, split_seed=1).image_names != files["test"]


def test_six_images_are_enough_for_two_in_each_subset(tmp_path):
    _write_classes(tmp_path, ["cat", "dog"], num_images=6)
    for subset in ("train", "validation", "test"):
        loaded = image_folder.load(subset, tmp_path, split_by="images", split=(0.9, 0.05, 0.05))
        assert [len(rows) for rows in loaded.members] == [2, 2]


def test_own_subset_folders_may_share_classes_with_split_by_images(tmp_path):
    for subset, names in (("train", ["a", "b"]), ("val", ["a", "b"]), ("test", ["a", "c"])):
        _write_classes(tmp_path / subset, names)
    loaded = image_folder.load("test", tmp_path, split_by="images")
    assert loaded.image_names == ("test/a/0.png", "test/a/1.png", "test/c/0.png", "test/c/1.png")
    assert [len(rows) for rows in image_folder.load("trainval", tmp_path, split_by="images").members] == [4, 4]
    with pytest.raises(ValueError, match="No class may be in two subsets .* unless `split_by` is 'images'"):
        image_folder.load("test", tmp_path)
    with pytest.raises(ValueError, match="`split_by` must be one of .*Received: split_by='files'"):
        image_folder.load("test", tmp_path, split_by="files")


def test_validation_folder_may_have_its_long_name(tmp_path):
    _write_classes(tmp_path / "train", ["a"])
    _write_classes(tmp_path / "validation", ["b"])
    assert image_folder.load("validation", tmp_path).names == ("b",)


def test_split_is_disjoint_complete_and_seeded(tmp_path):
    names = [f"class{i:02d}" for i in range(10)]
    _write_classes(tmp_path, names)
    parts = {subset: image_folder.load(subset, tmp_path).names for subset in SUBSETS}
    assert [len(parts[subset]) for subset in ("train", "validation", "test")] == [5, 2, 3]
    assert sorted(parts["train"] + parts["validation"] + parts["test"]) == names
    assert parts["trainval"] == tuple(sorted(parts["train"] + parts["validation"]))
    assert parts["train"] == image_folder.load("train", tmp_path).names
    others = {image_folder.load("train", tmp_path, split_seed=seed).names for seed in range(1, 6)}
    assert others != {parts["train"]}


@pytest.mark.parametrize(
    "split, count, expected",
    [
        ((0.01, 0.49, 0.5), 3, [1, 1, 1]),
        ((0.98, 0.01, 0.01), 5, [3, 1, 1]),
        ((0.5, 0.25, 0.25), 6, [2, 2, 2]),  # two are what a task needs
        ((0.98, 0.01, 0.01), 7, [3, 2, 2]),
        ((0.5, 0.25, 0.25), 8, [4, 2, 2]),
    ],
)
def test_every_subset_gets_a_class(tmp_path, split, count, expected):
    _write_classes(tmp_path, [str(i) for i in range(count)])
    parts = [image_folder.load(subset, tmp_path, split=split) for subset in ("train", "validation", "test")]
    assert [part.num_classes for part in parts] == expected


def test_hidden_files_are_skipped_without_a_word(tmp_path, recwarn):
    _write_classes(tmp_path / "train", ["a"])
    _write(tmp_path / "train" / "a" / "2.JPG")
    _write(tmp_path / "train" / "a" / "3.Jpeg")
    for name in (".4.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / "train" / "a" / name).write_bytes(b"no image")
    for folder in (tmp_path / ".git", tmp_path / "train" / ".git", tmp_path / "train" / "a" / ".git"):
        _write(folder / "0.png")
    _write(tmp_path / "train" / "__MACOSX" / "0.png")
    classes = image_folder.load("train", tmp_path)
    assert classes.names == ("a",) and [len(rows) for rows in classes.members] == [4]
    assert not recwarn.list


def _warning(recwarn):
    """The one line of the one warning."""
    (warning,) = recwarn.list
    assert "\n" not in str(warning.message) and warning.category is UserWarning
    return str(warning.message)


def test_every_known_format_is_read_alike(tmp_path, recwarn):
    pixels = _half_black_half_white(16)
    for suffix in ("png", "bmp", "gif", "webp", "JPEG"):
        _write(
            tmp_path / "train" / "a" / f"{suffix}.{suffix}", pixels, **({"lossless": True} if suffix == "webp" else {})
        )
    _write(tmp_path / "train" / "a" / "saved_by_a_browser.jfif", pixels, format="JPEG")
    images = image_folder.load("train", tmp_path, image_size=4).images
    assert len(images) == 6 and not recwarn.list
    assert (images[..., 0].astype(int)[:, :, 0] < 5).all() and (images[..., 0].astype(int)[:, :, 3] > 250).all()


def test_files_that_are_not_read_are_counted_aloud(tmp_path, recwarn):
    """Those of all subsets, in one line that comes once however many subsets are loaded."""
    _write_classes(tmp_path / "train", ["a"])
    _write_classes(tmp_path / "val", ["b"])
    for number in range(30):
        _write(tmp_path / "train" / "a" / f"{number}.TIFF")
    (tmp_path / "val" / "b" / "notes.txt").write_text("no image")
    (tmp_path / "val" / "b" / "LICENSE").write_text("no image")
    for subset in ("train", "validation", "trainval"):
        image_folder.load(subset, tmp_path)
    assert _warning(recwarn) == (
        f"{tmp_path}: 32 files in class folders left out, for being none of .png, .jpg, .jpeg, .jfif, .gif, .bmp, .webp: "
        "30 .tiff, 1 .txt, 1 without extension"
    )


def test_images_in_no_class_folder_are_counted_aloud(tmp_path, recwarn):
    _write_classes(tmp_path / "train", ["a"])
    for number in range(4):
        _write(tmp_path / f"{number}.png")
    _write(tmp_path / "train" / "loose.png")
    image_folder.load("train", tmp_path)
    assert _warning(recwarn).endswith("5 images in no class folder left out: 0.png, 1.png, 2.png and 2 more")


def test_folders_in_class_folders_and_links_belong_to_the_class(tmp_path, recwarn):
    _write_classes(tmp_path / "train" / "a", ["x", "y/z"])
    _write_classes(tmp_path / "elsewhere", ["pictures"], num_images=3)
    (tmp_path / "train" / "b").symlink_to(tmp_path / "elsewhere" / "pictures")
    (tmp_path / "train" / "a" / "again").symlink_to(tmp_path / "train" / "a")  # without end if followed for ever
    with pytest.warns(UserWarning, match="its other folders are left out: elsewhere"):
        classes = image_folder.load("train", tmp_path)
    assert classes.names == ("a", "b") and [len(rows) for rows in classes.members] == [4, 3]
    assert classes.images[:, 0, 0, 0].tolist() == [0, 1, 10, 11, 0, 1, 2]  # by path: x, then y/z


def test_a_link_to_what_holds_it_is_no_class_and_no_part_of_one(tmp_path):
    _write_classes(tmp_path / "photos", "abcdef")
    (tmp_path / "photos" / "again").symlink_to(tmp_path / "photos")
    (tmp_path / "photos" / "a" / "up").symlink_to(tmp_path)
    parts = [image_folder.load(subset, tmp_path / "photos") for subset in ("train", "validation", "test")]
    assert sorted(name for part in parts for name in part.names) == list("abcdef")
    assert {len(rows) for part in parts for rows in part.members} == {2}


@pytest.mark.parametrize("options", [{}, {"split_by": "images"}])
def test_an_image_that_links_give_to_two_classes_is_refused(tmp_path, options):
    _write_classes(tmp_path, "abc", num_images=6)
    (tmp_path / "d").symlink_to(tmp_path / "b")
    with pytest.raises(
        ValueError, match=r"each image in one class folder. Received: one that is both b/0.png, d/0.png$"
    ):
        image_folder.load("train", tmp_path, **options)
    (tmp_path / "d").unlink()
    (tmp_path / "c" / "link.png").symlink_to(tmp_path / "a" / "3.png")
    with pytest.raises(ValueError, match=r"Received: one that is both a/3.png, c/link.png$"):
        image_folder.load("train", tmp_path, **options)


def test_an_image_that_links_give_to_a_class_twice_counts_once(tmp_path, recwarn):
    """With `split_by` "images" it was in training and in the test; else it was its own query."""
    _write_classes(tmp_path, ["cat", "dog"], num_images=6)
    for number in range(6):
        (tmp_path / "cat" / f"link{number}.png").symlink_to(tmp_path / "cat" / f"{number}.png")
    options = dict(root=tmp_path, split_by="images")
    parts = [image_folder.load(part, **options).image_names for part in ("train", "validation", "test")]
    assert sorted(sum(parts, ())) == [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(6)]
    names = ", ".join(f"cat/link{number}.png" for number in range(3))
    assert _warning(recwarn) == f"{tmp_path}: 6 links to images of the same class left out: {names} and 3 more"


def test_of_two_ways_to_a_folder_the_first_is_taken(tmp_path):
    """Whatever the order of the disk: the names of images are recorded, and their order is that of the draws."""
    for number, link in enumerate("anbocpdq"):  # before and after "m"
        _write(tmp_path / str(number) / "m" / "x.png")
        (tmp_path / str(number) / link).symlink_to(tmp_path / str(number) / "m")
    found = [files_below(tmp_path / str(number))[0] for number in range(8)]
    assert [path.parent.name for (path,) in found] == list("ambmcmdm")


def test_names_that_are_no_utf8_are_escaped_and_can_be_written(tmp_path):
    """An archive of an old system: Latin-1."""
    _write_classes(tmp_path, "abc", num_images=6)
    os.rename(tmp_path / "b", os.fsencode(tmp_path) + b"/caf\xe9")
    os.rename(os.fsencode(tmp_path) + b"/caf\xe9/0.png", os.fsencode(tmp_path) + b"/caf\xe9/\xe9.png")
    classes = image_folder.load("train", tmp_path, split_by="images", split=(0.6, 0.2, 0.2))
    assert classes.names == ("a", "c", "caf\\xe9") and classes.num_images == 6
    parts = [image_folder.load(subset, tmp_path, split_by="images") for subset in ("train", "validation", "test")]
    assert "caf\\xe9/\\xe9.png" in [name for part in parts for name in part.image_names]


@pytest.mark.parametrize(
    "folders",
    [("Train", "Val", "Test"), ("TRAIN", "Valid", "TEST"), ("training", "Validation", "Testing")],
)
def test_folders_of_subsets_in_other_spellings(tmp_path, folders, recwarn):
    for folder, name in zip(folders, "abc"):
        _write_classes(tmp_path / folder, [name])
    parts = [image_folder.load(subset, tmp_path).names for subset in ("train", "validation", "test")]
    assert parts == [("a",), ("b",), ("c",)] and not recwarn.list


def test_a_class_may_be_called_train(tmp_path, recwarn):
    _write_classes(tmp_path, ["bus", "car", "train", "test"])
    loaded = [image_folder.load(subset, tmp_path).names for subset in ("train", "validation", "test")]
    assert sorted(sum(loaded, ())) == ["bus", "car", "test", "train"] and not recwarn.list


def test_folders_beside_those_of_subsets_are_named(tmp_path, recwarn):
    for subset, name in (("train", "a"), ("val", "b"), ("test", "c")):
        _write_classes(tmp_path / subset, [name])
    _write_classes(tmp_path, ["bus", "car"])
    assert image_folder.load("train", tmp_path).names == ("a",)
    assert _warning(recwarn) == (
        f"{tmp_path} has the folders of subsets, train, val, test: its other folders are left out: bus, car"
    )


def test_folders_that_are_neither_classes_nor_subsets_are_explained(tmp_path):
    _write_classes(tmp_path / "test", ["a", "b"])
    _write_classes(tmp_path, ["bus", "car"])
    message = "'train' among them. Received: test with folders inside, beside bus, car"
    with pytest.raises(ValueError, match=message):
        image_folder.load("train", tmp_path)
    _write_classes(tmp_path, ["train"])
    with pytest.raises(ValueError, match="test with folders inside, beside bus, car, train"):
        image_folder.load("train", tmp_path)


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.fromarray(np.full((8, 8), level, np.uint8)) for level in (200, 10, 90)]
    options = {"suffix": ".gif", "save_options": {"save_all": True, "append_images": frames[1:]}}
    assert (_single(tmp_path, frames[0], **options) == 200).all()


def test_four_colours_of_print_and_a_palette_with_transparency(tmp_path):
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    image = _single(tmp_path / "print", cyan, suffix=".jpg", channels=3, save_options={"quality": 95})
    np.testing.assert_allclose(image[0, 0].astype(int), [0, 255, 255], atol=3)
    palette = Image.fromarray(_half_black_half_white(8)).convert("P")
    options = {"suffix": ".png", "save_options": {"transparency": 0}}  # the black half
    assert _single(tmp_path / "palette", palette, invert=True, **options)[0, :, 0].tolist() == [0] * 4


def test_a_large_picture_is_read_without_a_warning_and_a_huge_one_named(tmp_path, monkeypatch, recwarn):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    assert (_single(tmp_path, np.full((8, 8), 7, np.uint8)) == 7).all() and not recwarn.list
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(ValueError, match=r"0\.png cannot be read as an image: .*64 pixels.*limit of 40 pixels"):
        image_folder.load("train", tmp_path)


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
    "fit, across", [("stretch", [10, 100, 100, 10]), ("crop", [100, 100, 100, 100]), ("pad", [10, 100, 100, 10])]
)
def test_a_picture_that_is_no_square_is_made_to_fit(tmp_path, fit, across):
    """Twice as wide as high, the middle half lighter. Padded, what is above and below is paper."""
    pixels = np.full((32, 64), 10, np.uint8)
    pixels[:, 16:48] = 100
    image = _single(tmp_path, pixels, image_size=4, fit=fit)[..., 0].astype(int)
    np.testing.assert_allclose(image[1:3], [across] * 2, atol=15)
    np.testing.assert_allclose(image[[0, 3]], [[0] * 4 if fit == "pad" else across] * 2, atol=15)
    turned = _single(tmp_path / "turned", pixels.T, image_size=4, fit=fit)[..., 0]
    np.testing.assert_allclose(turned.T, image, atol=1)


def _side_30(levels, fit):
    return pixels_of(Image.fromarray(levels), 30, 30, 1, False, fit)


@pytest.mark.parametrize(
    "width, height, box", [(90, 60, (0, 5, 30, 20)), (60, 90, (5, 0, 20, 30)), (10000, 1, (0, 14, 30, 1))]
)
def test_padding_keeps_the_whole_picture_at_its_ratio(width, height, box):
    """The box of the picture in a square of 30, by hand: 30 wide and 20 high with 5 above and below; never less than a line."""
    pixels = _side_30(np.full((height, width), 200, np.uint8), "pad")
    left, top, across, down = box
    expected = np.zeros((30, 30))
    expected[top : top + down, left : left + across] = 200
    np.testing.assert_array_equal(pixels[..., 0], expected)


@pytest.mark.parametrize(
    "width, height, box", [(91, 60, (15, 0, 60, 60)), (60, 91, (0, 15, 60, 60)), (3, 1, (1, 0, 1, 1))]
)
def test_cropping_keeps_the_middle(width, height, box):
    levels = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    left, top, across, down = box
    middle = np.ascontiguousarray(levels[top : top + down, left : left + across])
    np.testing.assert_array_equal(_side_30(levels, "crop"), _side_30(middle, "stretch"))


def test_padding_is_paper(tmp_path):
    """White around a white page, which `invert` makes 0."""
    assert not _single(tmp_path, np.full((8, 16), 255, np.uint8), fit="pad", invert=True).any()


def test_a_picture_of_too_many_pixels_is_refused_by_its_header(tmp_path):
    """20000 x 20000 pixels in a file of 57 bytes, which holds none of them."""
    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")]
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    _write_classes(tmp_path / "train", ["a"])
    (tmp_path / "train" / "a" / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    with pytest.raises(ValueError, match=r"huge\.png cannot be read as an image: .*400000000 pixels.*limit") as caught:
        image_folder.load("train", tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_many_images_lie_on_disk_and_give_the_same_episodes(tmp_path, monkeypatch):
    names = [f"class{number}" for number in range(18)]
    _write_classes(tmp_path / "train", names, num_images=4)
    options = dict(augmentation={"flip": True})
    in_memory = image_folder.load("train", tmp_path, **options)
    monkeypatch.setenv("METAZOA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(image_store, "IN_MEMORY", 1000)
    on_disk = image_folder.load("train", tmp_path, **options)
    assert isinstance(on_disk.images, image_store.StoredSource) and isinstance(in_memory.images, np.ndarray)
    batches = [next(iter(classes.episodes(5, 1, 2, seed=2))) for classes in (in_memory, on_disk)]
    for value, want in zip(*([x["support_x"], x["query_x"], y] for x, y in batches)):
        np.testing.assert_array_equal(value, want)
    assert on_disk.augmentation.flip


@pytest.mark.parametrize(
    "options, message",
    [
        ({"fit": "cover"}, "`fit` must be one of ('stretch', 'crop', 'pad'). Received: fit='cover'"),
        ({"augmentation": {"flip": 1}}, "`flip` must be True or False. Received: flip=1"),
        ({"subset": "all"}, "must be one of ('train', 'validation', 'trainval', 'test'). Received: subset='all'"),
        ({"image_size": "28"}, "`image_size` must be an int of at least 1. Received: image_size='28'"),
        ({"image_size": 28.0}, "Received: image_size=28.0"),
        ({"split": "6:2:2"}, "sum 1. Received: split='6:2:2'"),
        ({"split": ("a", "b", "c")}, "three positive fractions"),
        ({"split_seed": -1}, "`split_seed` must be an int of at least 0. Received: split_seed=-1"),
        ({"invert": "no"}, "`invert` must be True or False. Received: invert='no'"),
        ({"distortions": 1}, "`distortions` must be True or False. Received: distortions=1"),
        ({"on_error": "ignore"}, "`on_error` must be one of ('raise', 'skip'). Received: on_error='ignore'"),
        ({"root": 5}, "Received: root=5"),
        ({"channels": 4}, "`channels` must be 1 or 3. Received: channels=4"),
        ({"image_size": 0}, "`image_size` must be an int of at least 1. Received: image_size=0"),
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


def test_a_root_in_the_home_folder(tmp_path, monkeypatch):
    _write_classes(tmp_path / "data" / "train", ["a"])
    monkeypatch.setenv("HOME", str(tmp_path))
    assert image_folder.load("train", "~/data").names == ("a",)


def test_root_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must be a folder.*Received: root='.*nowhere'"):
        image_folder.load("train", tmp_path / "nowhere")


def test_an_empty_root_is_not_the_current_folder(tmp_path, monkeypatch):
    """As in a config whose root nobody has set."""
    _write_classes(tmp_path, "abcdef")
    monkeypatch.chdir(tmp_path)
    assert image_folder.load("train", ".").num_classes == 2
    with pytest.raises(
        ValueError, match="`root` must be a folder with one folder of images per class. Received: root=''"
    ):
        image_folder.load("train", "")


@pytest.mark.parametrize("split_by", ["classes", "images"])
@pytest.mark.parametrize("inside", ["", "train"], ids=["classes", "subsets"])
def test_a_folder_around_the_one_that_is_meant_is_no_class(tmp_path, split_by, inside):
    """As an archive is unpacked: all pictures were one class, or the way out that was named made them one."""
    _write_classes(tmp_path / "photos" / inside, "abc", num_images=6)
    with pytest.raises(
        ValueError, match=r"one folder, photos, with the folders .* in it; root='.*/photos' takes these$"
    ):
        image_folder.load("train", tmp_path, split_by=split_by)
    assert image_folder.load("train", tmp_path / "photos", split_by="images").num_classes == 3


def test_no_class_folders(tmp_path):
    _write(tmp_path / "0.png")
    with pytest.raises(
        ValueError, match="one folder of images per class. Received: 1 image directly in it, and no folder"
    ):
        image_folder.load("train", tmp_path)
    (tmp_path / "0.png").unlink()
    with pytest.raises(ValueError, match="one folder of images per class. Received: no folder in it"):
        image_folder.load("train", tmp_path)


def test_images_directly_in_the_folders_of_subsets(tmp_path):
    for part in ("train", "val", "test"):
        for number in range(2):
            _write(tmp_path / part / f"{number}.png")
    message = "train must have one folder of images per class. Received: 2 images directly in it, and no folder$"
    with pytest.raises(ValueError, match=message):
        image_folder.load("train", tmp_path)


def test_too_few_classes_to_split(tmp_path):
    _write_classes(tmp_path, ["a", "b"])
    with pytest.raises(ValueError, match=r"at least 3 classes.*Received: 2 \(a, b\)"):
        image_folder.load("train", tmp_path)


@pytest.mark.parametrize("split_by, needed", [("classes", "6 classes"), ("images", "6 images of a class")])
def test_subset_without_its_folder(tmp_path, split_by, needed):
    _write_classes(tmp_path / "train", ["a"])
    message = f"must have the subset 'test', called test or testing. Received: train; 'train' gives some of its own where it has {needed}$"
    with pytest.raises(ValueError, match=message):
        image_folder.load("test", tmp_path, split_by=split_by)


def test_a_missing_subset_has_classes_of_training(tmp_path):
    _write_classes(tmp_path / "train", "abcdef")
    _write_classes(tmp_path / "test", ["x", "y"])
    message = "has no subset 'validation': of the 6 classes of 'train' it gets ., .$"
    with pytest.warns(UserWarning, match=message):
        train, validation, test = (image_folder.load(part, tmp_path).names for part in ("train", "validation", "test"))
    assert len(validation) == 2 and sorted(train + validation) == list("abcdef") and test == ("x", "y")
    assert image_folder.load("trainval", tmp_path).names == tuple("abcdef")


def test_missing_subsets_have_images_of_training_with_split_by_images(tmp_path):
    _write_classes(tmp_path / "training", ["a", "b"], num_images=12)
    with pytest.warns(UserWarning, match="no subset 'validation': of the 2 classes of 'train' it gets 6 images$"):
        parts = [image_folder.load(part, tmp_path, split_by="images") for part in ("train", "validation", "test")]
    assert [[len(rows) for rows in part.members] for part in parts] == [[6, 6], [3, 3], [3, 3]]
    assert len({name for part in parts for name in part.image_names}) == 24


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


def test_classes_of_fewer_than_two_images_are_left_out_and_counted(tmp_path, recwarn):
    _write_classes(tmp_path / "train", ["a", "b"])
    (tmp_path / "train" / "empty").mkdir()
    _write(tmp_path / "train" / "lonely" / "0.png")
    assert image_folder.load("train", tmp_path).names == ("a", "b")
    assert _warning(recwarn) == f"{tmp_path}: 2 classes left out, of fewer than 2 images: empty (0), lonely (1)"


@pytest.mark.parametrize("layout", ["folders", "table", "train"])
def test_classes_that_are_left_out_leave_two_to_each_subset(layout, tmp_path, recwarn):
    """Six classes are enough, whichever others lie about."""
    root = tmp_path / "train" if layout == "train" else tmp_path
    _write_classes(root, "abcdef")
    _write_classes(root, "uvwxyz", num_images=1)
    if layout == "table":
        lines = [f"{path.relative_to(tmp_path)},{path.parent.name}" for path in sorted(tmp_path.rglob("*.png"))]
        (root / "all.csv").write_text("\n".join(["file,label", *lines]))
    for seed in range(4):
        parts = [
            image_folder.load(part, root / "all.csv" if layout == "table" else tmp_path, split_seed=seed).names
            for part in ("train", "validation", "test")
        ]
        assert [len(names) for names in parts] == [2, 2, 2] and sorted(sum(parts, ())) == list("abcdef")
    assert sum("6 classes left out, of fewer than 2 images" in str(warning.message) for warning in recwarn) == 1


def test_a_subset_without_a_class_of_two_images(tmp_path):
    (tmp_path / "train" / "empty").mkdir(parents=True)
    (tmp_path / "train" / "empty" / "notes.txt").write_text("no image")
    _write(tmp_path / "train" / "lonely" / "0.png")
    message = r"The subset 'train' of .* a class of at least 2 images, \.png, .*Received: empty \(0\), lonely \(1\)"
    with pytest.warns(UserWarning), pytest.raises(ValueError, match=message):
        image_folder.load("train", tmp_path)


def _break_images(tmp_path):
    _write_classes(tmp_path / "train", ["a", "b"], num_images=3)
    folder = tmp_path / "train" / "a"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    _write(folder / "truncated.png", noise)
    (folder / "truncated.png").write_bytes((folder / "truncated.png").read_bytes()[:1000])
    (folder / "unknown.png").write_bytes(b"no image at all")
    (folder / "empty.png").write_bytes(b"")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")


@pytest.mark.parametrize(
    "name, reason",
    [
        ("empty", "cannot be read as an image: it is empty"),
        ("truncated", "cannot be read as an image: OSError: .*truncated"),
        (
            "unknown",
            "cannot be read as an image: UnidentifiedImageError: cannot identify image file .`on_error` 'skip' leaves it out.$",
        ),
        ("gone", "cannot be read: No such file or directory"),
    ],
)
def test_a_broken_image_is_named(tmp_path, name, reason):
    _break_images(tmp_path)
    for other in {"empty", "truncated", "unknown", "gone"} - {name}:
        (tmp_path / "train" / "a" / f"{other}.png").unlink()
    with pytest.raises(ValueError, match=rf"{name}\.png {reason}"):
        image_folder.load("train", tmp_path)


def test_broken_images_are_counted_or_left_out(tmp_path, recwarn):
    _break_images(tmp_path)
    with pytest.raises(
        ValueError, match=r"empty\.png cannot .*\(and 3 files more; `on_error` 'skip' leaves them out\)"
    ):
        image_folder.load("train", tmp_path)
    recwarn.clear()
    classes = image_folder.load("train", tmp_path, on_error="skip")
    assert [len(rows) for rows in classes.members] == [3, 3]
    assert classes.images[:, 14, 14, 0].tolist() == [0, 1, 2, 10, 11, 12]
    names = ", ".join(f"train/a/{name}.png" for name in ("empty", "gone", "truncated"))
    assert _warning(recwarn) == f"{tmp_path}: 4 files that cannot be read left out: {names} and 1 more"
    for number in range(2):
        (tmp_path / "train" / "a" / f"{number}.png").unlink()
    with pytest.warns(UserWarning, match=r"1 class left out, of fewer than 2 images: a \(1\)"):
        assert image_folder.load("train", tmp_path, on_error="skip").names == ("b",)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
