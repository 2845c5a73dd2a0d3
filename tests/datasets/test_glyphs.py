import unicodedata

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from zoo.datasets import glyphs
from zoo.datasets.subsets import SUBSETS

PARTS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def subsets():
    return {subset: glyphs.load(subset) for subset in SUBSETS}


def _scripts(classes):
    return {name.split("/")[0] for name in classes.names}


def _character(name):
    return chr(int(name.split("/U+")[1], 16))


def test_counts(subsets):
    assert {subset: classes.num_classes for subset, classes in subsets.items()} == {
        "train": 1057,
        "validation": 106,
        "trainval": 1163,
        "test": 305,
    }
    for classes in subsets.values():
        assert classes.images.dtype == np.uint8 and classes.image_shape == (28, 28, 1)
        assert {len(rows) for rows in classes.members} == {20}


def test_names_are_unique_and_scripts_in_one_subset_only(subsets):
    names = [name for part in PARTS for name in subsets[part].names]
    assert len(set(names)) == len(names)
    assert set(subsets["trainval"].names) == set(subsets["train"].names) | set(subsets["validation"].names)
    scripts = [_scripts(subsets[part]) for part in PARTS]
    assert len(set.union(*scripts)) == sum(len(part) for part in scripts)


def test_scripts_are_the_groups(subsets):
    for classes in subsets.values():
        assert classes.groups == tuple(name.split("/")[0] for name in classes.names) and not classes.distorted
    assert glyphs.load("validation", distortions=True).distorted


def test_scripts_are_what_unicode_says(subsets):
    symbols = {"Arrows", "Currency_Symbols", "Mathematical_Symbols", "Miscellaneous_Symbols", "Technical_Symbols"}
    for part in PARTS:
        for name in subsets[part].names:
            script, character = name.split("/")[0], _character(name)
            if script in symbols:
                assert part == "train" and unicodedata.category(character)[0] in "SP", name
            else:
                assert unicodedata.category(character)[0] == "L", name
                assert unicodedata.name(character).replace(" ", "_").startswith(script.upper()), name


def test_no_character_is_a_compatibility_variant_of_another(subsets):
    folded = [unicodedata.normalize("NFKD", _character(name)) for part in PARTS for name in subsets[part].names]
    assert len(set(folded)) == len(folded)


def test_each_class_has_several_styles():
    for _, script, code_point in glyphs._letters():
        assert 2 <= len(glyphs._faces_with(code_point)) <= 16, (script, hex(code_point))


def test_drawings_depend_on_the_code_point_alone(subsets):
    for part, name in (("train", "Latin/U+0041"), ("test", "Hebrew/U+05D0")):
        drawn = glyphs._drawings(ord(_character(name)), 28)
        np.testing.assert_array_equal(drawn, glyphs._drawings(ord(_character(name)), 28))
        classes = subsets[part]
        stored = classes.images[classes.members[classes.names.index(name)]]
        # Another FreeType or BLAS than the one that filled the cache may round differently.
        assert np.abs(drawn.astype(int) - stored).max() <= 2


def test_sizes_show_the_same_drawings():
    small, large = glyphs._drawings(0x41, 14), glyphs._drawings(0x41, 28)
    halved = large.reshape(20, 14, 2, 14, 2, 1).mean((2, 4))
    for first, second in zip(small, halved):
        assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.97


def test_no_two_drawings_are_identical(subsets):
    # The images of all subsets: each selection shares them.
    images = subsets["train"].images
    assert len({image.tobytes() for image in images}) == len(images) == 20 * (1057 + 106 + 305)


def test_ink_is_white_on_black_paper_and_never_missing(subsets):
    images = subsets["train"].images[..., 0]
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    assert (border > 0).mean() < 0.01
    assert images.max(axis=(1, 2)).min() > 60
    assert 0.05 < images.mean() / 255 < 0.25


def test_ink_is_centred_and_fills_the_image(subsets):
    images = subsets["train"].images[..., 0] > 60
    sides = []
    for axis in (1, 2):
        touched = images.any(axis=axis)
        first, last = touched.argmax(axis=1), 27 - touched[:, ::-1].argmax(axis=1)
        sides.append(last - first + 1)
        assert abs((first + last).mean() / 2 - 13.5) < 0.25
    assert 19 <= np.median(np.max(sides, axis=0)) <= 22


def _clean(subset, face):
    """Clean drawings [n, 112, 112] of a subset, in DejaVuSans where the face has no such letter."""
    code_points = [code_point for part, _, code_point in glyphs._letters() if part == subset]
    faces = [face if face in glyphs._faces_with(code_point) else "DejaVuSans" for code_point in code_points]
    return np.stack([glyphs._clean(point, of_point, 112, 22 / 28) for point, of_point in zip(code_points, faces)])


def _boxed(drawings):
    """The ink stretched to a square, and whether it was no narrower than 2 to 5, where a stretch keeps the form."""
    stretched, is_wide = [], []
    for drawing in drawings:
        image = Image.fromarray(np.round(255 * drawing).astype(np.uint8))
        ink = image.crop(image.getbbox())
        is_wide.append(min(ink.size) >= 0.4 * max(ink.size))
        square = np.asarray(ink.resize((88, 88), Image.Resampling.BILINEAR), np.float32) / 255
        stretched.append(np.pad(square, 12))
    return np.stack(stretched), np.array(is_wide)


def _unit_rows(drawings):
    """Drawings [n, 112, 112] at 28 pixels, blurred, as vectors whose products are correlations."""
    rows = drawings.reshape(-1, 28, 4, 28, 4).mean((2, 4))
    rows = ndimage.gaussian_filter(rows, (0, 0.7, 0.7)).reshape(len(rows), -1)
    rows -= rows.mean(axis=1, keepdims=True)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("face", ["DejaVuSans", "DejaVuSerif"])
def test_no_letter_has_the_form_of_another(face):
    clean = {part: _clean(part, face) for part in PARTS}
    rows = {part: _unit_rows(drawings) for part, drawings in clean.items()}
    boxed = {part: _boxed(drawings) for part, drawings in clean.items()}
    boxed_rows = {part: _unit_rows(drawings)[is_wide] for part, (drawings, is_wide) in boxed.items()}
    # Chosen at 0.88 and 0.90; another FreeType may round differently.
    for found in (rows, boxed_rows):
        for first, second in (("train", "test"), ("train", "validation"), ("validation", "test")):
            assert (found[first] @ found[second].T).max() < 0.89, (first, second)
        for part in PARTS:
            within = found[part] @ found[part].T
            assert (within - np.eye(len(within))).max() < 0.91, part


def test_the_measure_of_form_finds_letters_drawn_the_same():
    latin, greek, other = (glyphs._clean(ord(letter), "DejaVuSans", 112) for letter in "A\u0391B")
    rows = _unit_rows(np.stack([latin, greek, other]))
    assert rows[0] @ rows[1] > 0.99 and rows[0] @ rows[2] < 0.8


@pytest.mark.parametrize(
    "options, message",
    [
        ({"subset": "all"}, r"must be one of \('train', 'validation', 'trainval', 'test'\). Received: subset='all'"),
        ({"image_size": 7}, "`image_size` must be an int from 8 to 105. Received: image_size=7"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        glyphs.load(**options)
