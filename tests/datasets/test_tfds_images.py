import json
import os
import pathlib
import re
import sys
import traceback

import numpy as np
import pytest

import zoo
from tests.datasets.prepared_tfds import level_of, prepare
from zoo.datasets import tfds_images

PARTS = ("train", "validation", "test")
OWN = {"train": ["ant", "bee"], "validation": ["cow"], "test": ["dog", "elk", "fox"]}
SHARED = {"train": ["ant", "bee", "cow", "dog"], "test": ["ant", "bee", "cow", "dog"]}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A folder of data sets, with one whose splits have classes of their own."""
    folder = tmp_path_factory.mktemp("data")
    prepare(folder, OWN)
    return folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A folder of data sets, with one whose splits have all classes."""
    folder = tmp_path_factory.mktemp("data")
    prepare(folder, SHARED)
    return folder


def levels(classes):
    return {
        name: sorted(int(classes.images[row][4, 4, 0]) for row in rows)
        for name, rows in zip(classes.names, classes.members)
    }


def load(subset, folder, **options):
    return zoo.datasets.load("tfds", subset, **{"name": "small_photos", "data_dir": folder, "image_size": 8, **options})


def test_own_splits_are_kept(own):
    parts = {part: load(part, own) for part in PARTS}
    assert {part: classes.names for part, classes in parts.items()} == {
        part: tuple(names) for part, names in OWN.items()
    }
    assert levels(parts["test"]) == {
        name: [level_of(label, number) for number in range(3)] for label, name in [(3, "dog"), (4, "elk"), (5, "fox")]
    }
    assert load("trainval", own).names == ("ant", "bee", "cow")
    assert parts["train"].image_shape == (8, 8, 3) and not zoo.datasets.is_ink("tfds", {})


def test_own_splits_in_other_spellings(tmp_path):
    """As a folder of train, val and test becomes a data set."""
    prepare(tmp_path, {"train": ["ant"], "val": ["bee"], "testing": ["cow"]})
    assert [load(part, tmp_path).names for part in PARTS] == [("ant",), ("bee",), ("cow",)]
    assert levels(load("trainval", tmp_path)) == {"ant": [0, 1, 2], "bee": [20, 21, 22]}


def test_a_data_set_is_found_by_folder_by_version_and_by_variable(own, monkeypatch):
    places = [
        {"data_dir": own / "small_photos", "name": None},
        {"data_dir": own / "small_photos" / "1.0.0", "name": None},
        {"data_dir": str(own / "small_photos" / "1.0.0")},
        {"name": "small_photos:1.0.0"},
        {"data_dir": None},
    ]
    monkeypatch.setenv("TFDS_DATA_DIR", str(own))
    for options in places:
        assert load("train", own, **options).names == ("ant", "bee"), options


def test_a_list_puts_all_splits_together(shared, tmp_path):
    lists = {"train": ["dog"], "val": ["ant"], "test": ["cow", "bee"]}
    path = tmp_path / "list.json"
    path.write_text(json.dumps(lists), encoding="utf-8")
    for classes in (str(path), {**lists}):
        test = load("test", shared, classes=classes)
        assert levels(test) == {
            name: sorted(2 * [level_of(label, number) for number in range(3)])
            for label, name in [(1, "bee"), (2, "cow")]
        }
        assert load("validation", shared, classes=classes).names == ("ant",)


def test_fractions_deal_the_classes_out(own):
    parts = [load(part, own, classes=(0.5, 0.25, 0.25), split_seed=3).names for part in PARTS]
    assert [len(part) for part in parts] == [2, 2, 2] and sorted(sum(parts, ())) == sorted(sum(OWN.values(), []))


def test_fractions_may_be_text_as_flags_have_them(own):
    """`--config.dataset.options.classes=0.5,0.25,0.25`, and as Python writes a tuple."""
    want = load("train", own, classes=(0.5, 0.25, 0.25), split_seed=3).names
    for text in ("0.5,0.25,0.25", "(0.5, 0.25, 0.25)"):
        assert load("train", own, classes=text, split_seed=3).names == want


@pytest.mark.parametrize("image_size", [8, 4], ids=["encoded", "resized"])
def test_a_subset_of_classes_without_images_is_named(tmp_path, image_size):
    prepare(tmp_path, {"train": ["ant", "bee"]}, without_images=["yak", "zho"])
    lists = {"train": ["ant", "yak"], "validation": ["bee"], "test": ["yak", "zho"]}
    with pytest.raises(ValueError, match="two parts of `classes`"):
        load("train", tmp_path, classes=lists)
    lists["train"] = ["ant"]
    assert load("train", tmp_path, classes=lists, image_size=image_size).num_images == 3
    message = "The subset 'test' of small_photos must have images. Received: none of the classes yak, zho$"
    with pytest.raises(ValueError, match=message):
        load("test", tmp_path, classes=lists, image_size=image_size)


def test_a_folder_of_another_data_set_than_the_name_is_refused(own):
    """It was read as if it were the one asked for, and named so in the card."""
    with pytest.raises(
        ValueError, match=r"Received: name='cifar100', data_dir='.*1\.0\.0', the folder of 'small_photos'$"
    ):
        load("train", own, name="cifar100", data_dir=own / "small_photos" / "1.0.0")


@pytest.mark.parametrize(
    "options",
    [
        {"name": "mini_imagenet"},
        {"name": "imagenet2012:5.1.0"},
        {"name": "imagenet_resized/64x64", "classes": "tiered_imagenet"},
        {"data_dir": "/data/mini_imagenet/1.0.0"},
        {"data_dir": "/data/mini_imagenet"},
        {"name": "small_copy", "classes": "tiered_imagenet"},
    ],
)
def test_terms_of_imagenet_are_known_by_name_folder_and_class_list(options):
    assert "not commercial" in zoo.datasets.terms("tfds", options)


def test_other_data_sets_have_no_terms_that_are_known():
    assert zoo.datasets.terms("tfds", {"name": "cifar100", "data_dir": "/imagenet", "classes": "cifar_fs"}) is None
    assert zoo.datasets.terms("image_folder", {"root": "imagenet"}) is None


def test_images_of_another_size_or_one_channel_are_resized_once(own):
    classes = load("train", own, image_size=5, channels=1)
    assert classes.image_shape == (5, 5, 1) and levels(classes)["bee"] == [20, 21, 22]
    x, y = next(iter(classes.episodes(2, 1, 2)))
    assert sorted(np.rint(x["query_x"][0, :, 2, 2, 0].numpy()[y[0] == y[0, 0]] * 255)) <= [0, 20, 21, 22]
    assert x["support_x"].shape == (1, 2, 5, 5, 1)


def test_photographs_stay_encoded_where_their_header_has_the_shape(tmp_path):
    """Even where the features of the data set leave the size open."""
    prepare(tmp_path, OWN, encoding="jpeg", shape=(None, None, 3))
    assert load("train", tmp_path).images.encoding == "jpeg"
    assert load("train", tmp_path, image_size=4).images.shape == (6, 4, 4, 3)


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"name": 5},
            "`name` must be a data set of tensorflow_datasets, or `data_dir` the folder of one. Received: name=5",
        ),
        ({"name": "no_such_data_set"}, "that tensorflow_datasets knows, or one prepared in "),
        ({"channels": 4}, "`channels` must be 1 or 3. Received: channels=4"),
        ({"image_size": 0}, "`image_size` must be an int of at least 1. Received: image_size=0"),
        (
            {"classes": "cifar"},
            "`classes` must be one of ('cifar_fs', 'cub', 'fc100', 'mini_imagenet', 'tiered_imagenet'), or",
        ),
        (
            {"classes": "cifar_fs"},
            "cifar_fs must name classes of small_photos, such as ant, bee, cow and 3 more. Received: 98",
        ),
        ({"classes": (0.5, 0.5)}, "`classes` must be three positive fractions of sum 1. Received: classes=(0.5, 0.5)"),
        ({"classes": 3}, "a JSON file, a dict or three fractions. Received: classes=3"),
        (
            {"classes": {"train": ["ant"]}},
            "must hold the lists of names train, validation, test, none of them empty. Rec",
        ),
        (
            {"classes": {"train": ["ant"], "val": ["yak", "bee"], "test": ["cow"]}},
            "Received: 1 class that it has not: yak",
        ),
        (
            {"classes": {"train": ["ant"], "val": ["ant"], "test": ["cow"]}},
            "No class may be in two parts of `classes`. Received: 'ant' in train and validation",
        ),
        (
            {"augmentation": {"crop": 8}},
            "`augmentation` must be a dict with names among ['crop_padding', 'flip', 'color_ji",
        ),
        ({"augmentation": {"crop_padding": 9}}, "`crop_padding` must be an int from 0 to 8. Received: crop_padding=9"),
        ({"fit": "cover"}, "`fit` must be one of ('stretch', 'crop', 'pad'). Received: fit='cover'"),
        ({"rotations": True}, "Options of 'tfds' must be among"),
    ],
)
def test_what_does_not_fit_is_said_in_a_line(own, options, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load("train", own, **options)
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 500
    shown = "".join(traceback.format_exception(caught.value))
    assert len(shown.splitlines()) < 50, "a traceback in Python lists every data set that there is"


def test_own_splits_that_share_classes_are_refused(shared, tmp_path):
    with pytest.raises(
        ValueError, match="must have the splits train, validation, test, or be split by `classes`. Received"
    ):
        load("train", shared)
    prepare(tmp_path, {"train": ["ant"], "validation": ["bee"], "test": ["ant"]})
    with pytest.raises(ValueError, match="must share no class.*Received: 'ant' in train and test"):
        load("train", tmp_path)


def test_a_folder_without_a_data_set_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="must be the folder of a prepared data set.*Received: data_dir='"):
        load("train", tmp_path, name=None)


needs_mini_imagenet = pytest.mark.skipif(
    not pathlib.Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets"), "mini_imagenet").expanduser().is_dir(),
    reason="needs miniImageNet in TFDS_DATA_DIR",
)


@needs_mini_imagenet
def test_mini_imagenet_has_the_classes_of_its_list():
    by_splits = zoo.datasets.load("tfds", "validation", name="mini_imagenet")
    by_list = zoo.datasets.load("tfds", "validation", name="mini_imagenet", classes="mini_imagenet")
    assert by_splits.names == by_list.names and repr(by_list) == "ImageClasses(16 classes, 9,600 images of 84x84x3)"
    assert by_splits.images.encoding == "jpeg" and {len(rows) for rows in by_list.members} == {600}
    (x, y), (x_list, y_list) = (next(iter(part.episodes(5, 1, 2, seed=4))) for part in (by_splits, by_list))
    np.testing.assert_array_equal(x["support_x"], x_list["support_x"])
    np.testing.assert_array_equal(y, y_list)
    row = by_splits.members[2][7]
    drawn = by_splits.images.pixels(by_splits.images.tensors(), [row])[0]
    np.testing.assert_array_equal(drawn, by_splits.images[row])  # TensorFlow's decoder and Pillow's


def test_a_builder_that_cannot_download_says_so(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def no_network(*args, **kwargs):
        raise ConnectionError("no route to host\nand more")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", no_network)
    with pytest.raises(
        FileNotFoundError, match="cannot be prepared: ConnectionError: no route to host. Point `data_dir`"
    ):
        tfds_images.load(name="cifar100", data_dir=tmp_path, classes="cifar_fs")
    for name, classes, message in (
        ("imdb_reviews", None, "must have one image and one class label.* Received: features text, label"),
        ("tf_flowers", "cub", "cub must name classes of tf_flowers.*Received: 200 classes that it has not"),
    ):  # before anything is downloaded
        with pytest.raises(ValueError, match=message):
            tfds_images.load(name=name, data_dir=tmp_path, classes=classes)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
