"""Any image classification data set of tensorflow_datasets, its classes dealt out to train, validation and test."""

import functools
import os
import pathlib

import numpy as np

from zoo.datasets.class_lists import classes_by_part
from zoo.datasets.image_files import check_fit, encoding_of, has_shape, read_image
from zoo.datasets.image_store import ImageStore, in_parallel
from zoo.datasets.messages import listed
from zoo.datasets.options import check_int
from zoo.datasets.sampler import ImageClasses
from zoo.datasets.subsets import PARTS, parts_of, subset_called

_BATCH = 1024  # records that are handled at a time
_INFO = "dataset_info.json"


def load(
    subset="train",
    name=None,
    data_dir=None,
    classes=None,
    image_size=84,
    channels=3,
    split_seed=0,
    fit="stretch",
    augmentation=None,
):
    """The classes of a data set of tensorflow_datasets, https://www.tensorflow.org/datasets, photographs as a rule.

    It is prepared already, or tensorflow_datasets downloads and prepares it. Images stay as they were encoded, JPEG or PNG,
    until they are drawn, where all have the size and channels asked for; others are resized once, as
    `zoo.datasets.image_files.read_image` does it. Up to 256 MiB stay in memory, more in a temporary file, see
    `zoo.datasets.image_store`.

    Args:
        subset: "train", "validation", "trainval" (both) or "test".
        name: as `tfds.load` takes it, such as "mini_imagenet", "cifar100" or "caltech_birds2011:0.1.1". None where `data_dir`
            is the folder of one data set.
        data_dir: folder of data sets, or the folder of one that is prepared, with or without that of its version;
            TFDS_DATA_DIR, or the default of tensorflow_datasets, when None.
        classes: which classes train, validate and test. None: as the data set's own splits "train", "validation" (or "val", "valid")
            and "test" have it, whose classes must be disjoint. Else the splits are put together, and the classes are those of a list:
            "mini_imagenet" (Ravi and Larochelle, 64, 16 and 20), "cifar_fs" (64, 16, 20) and "fc100" (60, 20, 20) of
            "cifar100", "tiered_imagenet" (351, 97, 160) of "imagenet2012" and its small copies, "cub" (100, 50, 50) of
            "caltech_birds2011"; the path of a JSON file, or a dict, {"train": [names], "validation": [names], "test": [names]};
            or three fractions of the classes, dealt out by `split_seed`; also as text, "0.6,0.2,0.2".
        image_size: side in pixels.
        channels: 1 (grey) or 3 (RGB).
        split_seed: int of at least 0.
        fit: how an image of another size becomes a square: "stretch", "crop" or "pad".
        augmentation: for training, a dict of the arguments of `zoo.datasets.augmentation.Augmentation`, such as
            {"crop_padding": 8, "flip": True, "color_jitter": 0.4}.

    Returns:
        ImageClasses, in the order of the data set's labels.

    Raises:
        ValueError: for an unknown data set, list, subset or option; for a data set without one image and one label, or whose own
            splits share classes or are not there; for a list that names classes that it has not, or none with images; for a `data_dir` of
            another data set.
        FileNotFoundError: where the data is missing and cannot be downloaded.

    Example:
        >>> photographs = load("train", name="cifar100", classes="cifar_fs", image_size=32)
        >>> episodes = photographs.episodes(way=5, shot=1, query=15)
    """
    wanted = parts_of(subset)
    check_int("image_size", image_size, 1)
    check_int("split_seed", split_seed, 0)
    check_fit(fit)
    if channels not in (1, 3):
        raise ValueError(f"`channels` must be 1 or 3. Received: channels={channels!r}")
    builder = _builder(name, data_dir)
    image_key, label_key = _keys(builder)
    if builder.info.features[image_key].np_dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"{builder.name} must have images of 8 or 16 bits. Received: images of {np.dtype(builder.info.features[image_key].np_dtype).name}"
        )
    feature = builder.info.features[label_key]
    if classes is not None and feature.num_classes and feature.names[0] != "0":  # known before anything is downloaded
        classes_by_part(classes, feature.names, split_seed, builder.name)
    _prepare(builder, name)
    if classes is None:
        own = _own_splits(builder)
        parts, splits = _own_parts(builder, label_key, own), tuple(own[part] for part in wanted)
    else:
        parts, splits = classes_by_part(classes, feature.names, split_seed, builder.name), tuple(builder.info.splits)
    chosen = dict(sorted((label, title) for part in wanted for label, title in parts[part].items()))
    shape = (image_size, image_size, channels)
    records = _records(builder, splits, image_key, label_key, tuple(chosen))
    source, labels = _as_they_are(records, shape, builder.info.features[image_key]) or _resized(records, shape, fit)
    if not labels:
        raise ValueError(
            f"The subset {subset!r} of {builder.name} must have images. Received: none of the classes {listed(chosen.values())}"
        )
    position = {label: index for index, label in enumerate(chosen)}
    labels = np.array([position[label] for label in labels])
    loaded = ImageClasses.from_labels(source, labels, list(chosen.values()))
    return loaded.with_augmentation(augmentation)


def _builder(name, data_dir):
    """The builder of a data set: found in its folder, or by its name."""
    import tensorflow_datasets as tfds  # slow to import

    if not (name is None or (name and isinstance(name, str))) or not (name or data_dir):
        raise ValueError(
            f"`name` must be a data set of tensorflow_datasets, or `data_dir` the folder of one. Received: name={name!r}, "
            f"data_dir={data_dir!r}"
        )
    folder = _prepared_folder(name, data_dir or os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR)
    if folder:
        return _checked_name(tfds.builder_from_directory(folder), name, folder)
    if not name:
        raise FileNotFoundError(
            f"`data_dir` must be the folder of a prepared data set, with {_INFO}, where no `name` says which. "
            f"Received: data_dir={str(data_dir)!r}"
        )
    try:
        return tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # an unknown name, version or config, or a builder that cannot be imported
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"`name` must be a data set that tensorflow_datasets knows, or one prepared in {data_dir or 'TFDS_DATA_DIR'}. "
            f"Received: name={name!r} ({reason})"
        ) from (None if isinstance(error, tfds.core.DatasetNotFoundError) else error)  # it lists all that there are


def _prepare(builder, name):
    """Downloads and prepares a data set where that is not done. Raises FileNotFoundError where it cannot be."""
    if builder.is_prepared():
        return
    try:
        builder.download_and_prepare()
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise FileNotFoundError(
            f"{name} is not in {builder.data_path} and cannot be prepared: {type(error).__name__}: {reason}. Point `data_dir` "
            "or TFDS_DATA_DIR to a folder where tensorflow_datasets has prepared it"
        ) from error


def _prepared_folder(name, data_dir):
    """The newest prepared version of a data set in a folder of data sets, or that folder itself; None where there is none."""
    base = pathlib.Path(data_dir).expanduser()
    title, _, version = (name or "").partition(":")
    if not name or base.name == title or (base / _INFO).is_file():
        places = [base] if version in ("", base.name) else [base / version]
    else:
        places = []
    places += [base / title / version] if name else []
    for place in places:
        if (place / _INFO).is_file():
            return place
        versions = [path.parent for path in place.glob(f"*/{_INFO}")] if place.is_dir() else []
        if versions:
            return max(versions, key=lambda path: _version_key(path.name))
    return None


def _checked_name(builder, name, folder):
    """The builder of a prepared folder. Raises ValueError where that is one of another data set than the name says."""
    title, _, config = (name or "").partition(":")[0].partition("/")
    is_title = title in ("", builder.name, folder.name, folder.parent.name)
    if not is_title or config not in ("", builder.info.config_name, folder.name, folder.parent.name):
        full_name = "/".join(filter(None, (builder.name, builder.info.config_name)))
        raise ValueError(
            f"`data_dir` must be a folder of data sets, or that of `name`. Received: name={name!r}, data_dir={str(folder)!r}, "
            f"the folder of {full_name!r}"
        )
    return builder


def _version_key(version):
    return [int(part) if part.isdigit() else -1 for part in version.split(".")]


def _keys(builder):
    """The features that hold the image and its label."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    keys = [
        [key for key, feature in features.items() if isinstance(feature, cls)]
        for cls in (tfds.features.Image, tfds.features.ClassLabel)
    ]
    supervised = builder.info.supervised_keys
    if supervised and len(supervised) == 2 and all(key in of for key, of in zip(supervised, keys)):
        return supervised
    if [len(of) for of in keys] != [1, 1]:
        raise ValueError(
            f"{builder.name} must have one image and one class label, to be a data set of image classification. "
            f"Received: features {listed(features, 6)}"
        )
    return keys[0][0], keys[1][0]


def _own_splits(builder):
    """{"train": the split of this meaning, "validation": ..., "test": ...}: one that is called "val", say."""
    own = {part: split for split in reversed(list(builder.info.splits)) if (part := subset_called(split))}
    missing = [part for part in PARTS if part not in own]
    if missing:
        raise ValueError(
            f"{builder.name} must have the splits {', '.join(PARTS)}, or be split by `classes`. "
            f"Received: {listed(builder.info.splits)}"
        )
    return own


def _own_parts(builder, label_key, own):
    """{"train": {label: name}, ...} as the data set's own splits have it."""
    names = builder.info.features[label_key].names
    found = _occurring(str(builder.data_path), label_key, tuple(own.values()))
    part_of = {}
    for part in PARTS:
        for label in found[own[part]]:
            if part_of.setdefault(label, part) != part:
                raise ValueError(
                    f"The splits of {builder.name} must share no class, or be split by `classes`. "
                    f"Received: {names[label]!r} in {part_of[label]} and {part}"
                )
    return {part: {label: names[label] for label in sorted(part_of) if part_of[label] == part} for part in PARTS}


@functools.lru_cache(maxsize=16)
def _occurring(folder, label_key, splits):
    """{split: labels that occur}; read once per process."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(folder)
    decoders = tfds.decode.PartialDecoding({label_key: True})
    found = {}
    for split in splits:
        dataset = builder.as_dataset(split=split, decoders=decoders, shuffle_files=False).batch(_BATCH)
        found[split] = sorted({int(label) for batch in dataset.as_numpy_iterator() for label in batch[label_key]})
    return found


def _records(builder, splits, image_key, label_key, chosen):
    """A function that goes through (files, labels) of the chosen labels, in batches, in the order of splits and records."""
    import tensorflow_datasets as tfds

    decoders = tfds.decode.PartialDecoding(
        {image_key: True, label_key: True}, decoders={image_key: tfds.decode.SkipDecoding()}
    )

    def go_through():
        for split in splits:
            dataset = builder.as_dataset(split=split, decoders=decoders, shuffle_files=False).batch(_BATCH)
            for batch in dataset.as_numpy_iterator():
                kept = np.isin(batch[label_key], chosen)
                yield batch[image_key][kept], batch[label_key][kept].tolist()

    return go_through


def _as_they_are(records, shape, feature):
    """(source of the images as they are encoded, their labels); None where they have not the shape, or not all one encoding."""
    if feature.np_dtype != np.uint8 or any(want not in (None, got) for want, got in zip(feature.shape, shape)):
        return None
    store, labels, encoding = None, [], None
    for files, batch_labels in records():
        for file in files:
            encoding = encoding or encoding_of(file)
            store = ImageStore(shape, encoding) if store is None else store
            fits = tuple(feature.shape) == shape or has_shape(file, *shape)
            if encoding is None or encoding_of(file) != encoding or not fits:
                return None
            store.add(file)
        labels += batch_labels
    return (store.source(), labels) if store else None


def _resized(records, shape, fit):
    """(source of the images resized, their labels)."""
    store, labels = ImageStore(shape), []
    for files, batch_labels in records():
        for pixels in in_parallel(lambda file: read_image(file, *shape, invert=False, fit=fit), files):
            store.add(pixels)
        labels += batch_labels
    return store.source(), labels
