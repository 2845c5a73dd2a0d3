"""Omniglot: 1,623 handwritten characters of 50 alphabets, 20 drawings each."""

import os

import numpy as np
from PIL import Image

from zoo.datasets.cache import cached_arrays
from zoo.datasets.options import check_bool, check_int
from zoo.datasets.sampler import ImageClasses
from zoo.datasets.subsets import parts_of

SPLITS = ("background", "random", "vinyals")
RESIZES = ("antialias", "nearest")

_RAW_SIZE = 105
_NUM_CHARACTERS = 1623
_NUM_BACKGROUND_ALPHABETS = 30
# Vinyals' lists as first and last label of each run, in the numbering of tensorflow_datasets.
_VINYALS = {
    "train": ((0, 25), (67, 130), (177, 249), (272, 464), (487, 727), (769, 1199)),
    "validation": ((26, 66), (131, 176), (250, 271), (465, 486), (728, 768)),
    "test": ((1200, 1622),),
}


def load(
    subset="train",
    split="background",
    rotations=False,
    image_size=28,
    resize="antialias",
    num_validation_alphabets=3,
    split_seed=0,
    data_dir=None,
    distortions=False,
):
    """Omniglot's characters as classes of 20 images, ink 1 and paper 0.

    Lake, Salakhutdinov, Tenenbaum: Human-level concept learning through probabilistic program induction, Science 2015.
    Read through `tfds.load("omniglot")`, which downloads it (18 MB) where it is not there.

    Args:
        subset: "train", "validation", "trainval" (both) or "test".
        split: "background": Lake's 30 alphabets (964 characters) against 20 others (659); no alphabet is in both.
            "random": 1,200 against 423 characters over all alphabets, drawn by `split_seed`; 100 of the 1,200 validate.
            "vinyals": 1,028, 172 and 423 characters, the lists that Prototypical Networks used.
        rotations: whether each class also comes turned by 90, 180 and 270 degrees, as three classes more. The papers
            differ on it for test classes; results with and without are not comparable.
        image_size: side in pixels, from 8 to 105; 105 is the original.
        resize: "antialias" (grey levels, Lanczos) or "nearest" (two levels, what many papers' code did unknowingly).
        num_validation_alphabets: of the 30 background alphabets, 1 to 29 of them, drawn by `split_seed`.
        split_seed: int of at least 0.
        data_dir: folder of tensorflow_datasets; TFDS_DATA_DIR, or its own default, when None.
        distortions: whether episodes show each image under a random affine transform, see `zoo.datasets.distortion`.

    Returns:
        ImageClasses, in the order of the labels of tensorflow_datasets; their groups are the alphabets. Which of the 20
        people drew an image is not in that data set.

    Raises:
        ValueError: for an unknown subset, split or resize, or another option out of range.
        FileNotFoundError: where the data is missing and cannot be downloaded.
    """
    wanted = parts_of(subset)
    for name, value, known in (("split", split, SPLITS), ("resize", resize, RESIZES)):
        if value not in known:
            raise ValueError(f"`{name}` must be one of {known}. Received: {name}={value!r}")
    check_int("image_size", image_size, 8, _RAW_SIZE)
    check_int("num_validation_alphabets", num_validation_alphabets, 1, _NUM_BACKGROUND_ALPHABETS - 1)
    check_int("split_seed", split_seed, 0)
    check_bool("rotations", rotations)
    check_bool("distortions", distortions)
    key = f"omniglot-3.0.0-{image_size}-{resize}-v1"
    arrays = cached_arrays(key, lambda: _prepare(image_size, resize, data_dir))
    shape = (-1, image_size, image_size, 1)
    pixels = (
        np.unpackbits(arrays["bits"], axis=1, count=image_size**2) * np.uint8(255)
        if "bits" in arrays
        else arrays["images"]
    )
    names = [f"{alphabet}/{number:02d}" for alphabet, number in zip(arrays["alphabets"], arrays["numbers"])]
    alphabets = [str(alphabet) for alphabet in arrays["alphabets"]]
    classes = ImageClasses.from_labels(pixels.reshape(shape), arrays["labels"], names, alphabets)
    classes = classes.select(_labels_of(wanted, arrays, split, num_validation_alphabets, split_seed))
    classes = classes.with_rotations() if rotations else classes
    return classes.with_distortions() if distortions else classes


def _labels_of(wanted, arrays, split, num_validation_alphabets, split_seed):
    """Sorted labels of the wanted parts of a split."""
    if split == "vinyals":
        parts = {
            name: [label for first, last in runs for label in range(first, last + 1)] for name, runs in _VINYALS.items()
        }
    else:
        rng = np.random.default_rng(split_seed)
        background = np.flatnonzero(arrays["is_background"])
        if split == "random":
            order = rng.permutation(_NUM_CHARACTERS)
            parts = {"train": order[:1100], "validation": order[1100:1200], "test": order[1200:]}
        else:
            alphabets = np.unique(arrays["alphabets"][background])
            held_out = rng.permutation(alphabets)[:num_validation_alphabets]
            validates = np.isin(arrays["alphabets"][background], held_out)
            parts = {
                "train": background[~validates],
                "validation": background[validates],
                "test": np.flatnonzero(~arrays["is_background"]),
            }
    return sorted(int(label) for part in wanted for label in parts[part])


def _prepare(image_size, resize, data_dir):
    """All 32,460 images, sorted by label, with what the splits need to know of each label."""
    images, labels, alphabet_of, number_of, is_background = [], [], {}, {}, {}
    for tfds_split in ("train", "test"):
        dataset, alphabet_names = _tfds_split(tfds_split, data_dir)
        for example in dataset.as_numpy_iterator():
            label = int(example["label"])
            images.append(_resized(example["image"][..., 0], image_size, resize))
            labels.append(label)
            alphabet_of[label] = alphabet_names[int(example["alphabet"])]
            number_of[label] = int(example["alphabet_char_id"])
            is_background[label] = tfds_split == "train"
    order = np.argsort(labels, kind="stable")
    images, characters = np.stack(images)[order], range(_NUM_CHARACTERS)
    two_levels = image_size == _RAW_SIZE or resize == "nearest"
    return {
        **({"bits": np.packbits(images.reshape(len(images), -1) > 0, axis=1)} if two_levels else {"images": images}),
        "labels": np.array(labels)[order],
        "alphabets": np.array([alphabet_of[label] for label in characters]),
        "numbers": np.array([number_of[label] for label in characters]),
        "is_background": np.array([is_background[label] for label in characters]),
    }


def _resized(paper, image_size, resize):
    """uint8 [105, 105], paper 255 -> uint8 [image_size, image_size], ink 255."""
    ink = 255 - paper
    if image_size == _RAW_SIZE:
        return ink
    # Mode L throughout: in mode 1 Pillow falls back to nearest neighbour whatever is asked for.
    filter_ = Image.Resampling.LANCZOS if resize == "antialias" else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(ink, mode="L").resize((image_size, image_size), filter_))


def _tfds_split(tfds_split, data_dir):
    import tensorflow_datasets as tfds  # slow to import, and needed once per machine

    builder = tfds.builder("omniglot", data_dir=data_dir)
    if not os.path.exists(os.path.join(builder.data_path, "dataset_info.json")):
        try:
            builder.download_and_prepare()
        except Exception as error:
            raise FileNotFoundError(
                f"Omniglot is not in {builder.data_path} and cannot be downloaded: {type(error).__name__}: {error}. "
                "Point `data_dir` or TFDS_DATA_DIR to a folder where tensorflow_datasets has prepared it, or use the data "
                'set "glyphs", which needs no download.'
            ) from error
    dataset = builder.as_dataset(split=tfds_split, shuffle_files=False)
    return dataset, builder.info.features["alphabet"].names
