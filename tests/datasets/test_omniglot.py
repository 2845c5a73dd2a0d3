"""Facts of the real Omniglot; skipped where TFDS_DATA_DIR does not hold it."""

import os
import pathlib
import sys

import numpy as np
import pytest
from PIL import Image

from zoo.datasets import omniglot
from zoo.datasets.subsets import SUBSETS

DATA = pathlib.Path(os.environ.get("TFDS_DATA_DIR", "")) / "omniglot" / "3.0.0" / "dataset_info.json"
needs_omniglot = pytest.mark.skipif(
    not os.environ.get("TFDS_DATA_DIR") or not DATA.is_file(),
    reason="needs real Omniglot: set TFDS_DATA_DIR to a folder where tensorflow_datasets has prepared it",
)


def alphabets(classes):
    return {name.split("/")[0] for name in classes.names}


@needs_omniglot
def test_background_split_has_disjoint_alphabets():
    parts = {subset: omniglot.load(subset) for subset in SUBSETS}
    assert parts["trainval"].num_classes == 964 and parts["test"].num_classes == 659
    assert parts["train"].num_classes + parts["validation"].num_classes == 964
    assert len(alphabets(parts["trainval"])) == 30 and len(alphabets(parts["test"])) == 20
    assert not alphabets(parts["trainval"]) & alphabets(parts["test"])
    assert not alphabets(parts["train"]) & alphabets(parts["validation"])
    assert len(alphabets(parts["validation"])) == 3


@needs_omniglot
@pytest.mark.parametrize("split, sizes", [("random", (1100, 100, 423)), ("vinyals", (1028, 172, 423))])
def test_other_splits_have_their_sizes_and_share_no_character(split, sizes):
    parts = [omniglot.load(subset, split=split) for subset in ("train", "validation", "test")]
    assert tuple(part.num_classes for part in parts) == sizes
    assert len(set().union(*[part.names for part in parts])) == 1623


@needs_omniglot
def test_every_character_has_twenty_drawings_with_ink_one():
    classes = omniglot.load("test")
    assert {len(rows) for rows in classes.members} == {20}
    images = classes.images[np.concatenate(classes.members)]
    assert images.shape == (659 * 20, 28, 28, 1) and images.dtype == np.uint8
    assert 0.02 < images.mean() / 255 < 0.15  # thin strokes of ink on paper


@needs_omniglot
def test_the_two_resizes_differ_in_grey_levels():
    grey, binary = (omniglot.load("test", resize=resize).images for resize in ("antialias", "nearest"))
    assert len(np.unique(binary)) == 2 and len(np.unique(grey)) > 50


@needs_omniglot
def test_full_size_shrinks_to_what_the_small_sizes_hold():
    full = omniglot.load("test", image_size=105)
    assert full.image_shape == (105, 105, 1) and set(np.unique(full.images[:100])) == {0, 255}
    small = omniglot.load("test", image_size=28)
    for row in (full.members[0][0], full.members[-1][7]):
        shrunk = Image.fromarray(full.images[row, ..., 0]).resize((28, 28), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(small.images[row, ..., 0], shrunk)


@needs_omniglot
def test_rotations_make_four_classes_of_each():
    assert omniglot.load("test", rotations=True).num_classes == 4 * 659


@needs_omniglot
def test_alphabets_are_the_groups():
    classes = omniglot.load("test", rotations=True, distortions=True)
    assert len(set(classes.groups)) == 4 * 20 and classes.distorted
    assert all(name.split("/")[0] == group.split("/")[0] for name, group in zip(classes.names, classes.groups))
    largest = max(classes.groups.count(group) for group in set(classes.groups))
    assert largest == 47  # Malayalam


@pytest.mark.parametrize(
    "options, message",
    [
        ({"subset": "dev"}, "`subset` must be one of"),
        ({"image_size": "28"}, "Received: image_size='28'"),
        ({"num_validation_alphabets": 0}, "`num_validation_alphabets` must be an int from 1 to 29. Received: .*=0"),
        ({"num_validation_alphabets": 30}, "from 1 to 29. Received: num_validation_alphabets=30"),
        ({"split_seed": 1.5}, "`split_seed` must be an int of at least 0. Received: split_seed=1.5"),
        ({"rotations": "False"}, "`rotations` must be True or False. Received: rotations='False'"),
        ({"split": "lake"}, "`split` must be one of .* Received: split='lake'"),
        ({"resize": "bilinear"}, "`resize` must be one of"),
        ({"image_size": 200}, "`image_size` must be an int from 8 to 105. Received: image_size=200"),
    ],
)
def test_unknown_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        omniglot.load(**options)


def test_missing_data_without_network_says_what_to_do(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def no_network(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setenv("METAZOA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", no_network)
    with pytest.raises(
        FileNotFoundError, match="cannot be downloaded: ConnectionError: no route to host.*TFDS_DATA_DIR"
    ):
        omniglot.load(data_dir=tmp_path)
    assert not (tmp_path / "cache").exists()


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
