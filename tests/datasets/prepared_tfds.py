"""A small data set as tensorflow_datasets prepares it, made on the spot."""

import numpy as np
import tensorflow_datasets as tfds

SIDE = 8


def level_of(label, number):
    """The grey level of an image of `prepare`."""
    return 20 * label + number


def prepare(
    folder,
    classes_of_split,
    num_images=3,
    name="small_photos",
    side=SIDE,
    encoding="png",
    shape=(SIDE, SIDE, 3),
    without_images=(),
):
    """Writes a data set into `folder`, and returns its builder.

    Args:
        folder: pathlib.Path, of data sets.
        classes_of_split: {split: names of its classes}; a class is labelled by its place among all names, sorted.
        num_images: of each class in each split, each of the level that `level_of` gives.
        name: of the data set.
        side: of its square images, of one level each.
        encoding: "png" or "jpeg".
        shape: what the features say of images.
        without_images: names of classes that the features have beside these.
    """
    names = sorted({name for names in classes_of_split.values() for name in names} | set(without_images))

    class SmallPhotos(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=shape, encoding_format=encoding),
                "label": tfds.features.ClassLabel(names=names),
            }
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
            )

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split) for split in classes_of_split}

        def _generate_examples(self, split):
            for title in classes_of_split[split]:
                for number in range(num_images):
                    label = names.index(title)
                    pixels = np.full((side, side, 3), level_of(label, number), np.uint8)
                    yield f"{title}{number}", {"image": pixels, "label": label}

    SmallPhotos.name = name
    builder = SmallPhotos(data_dir=folder)
    builder.download_and_prepare()
    return builder
