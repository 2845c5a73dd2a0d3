"""From classes of images to episodes."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from zoo.core.episode import PADDING_LABEL
from zoo.datasets.augmentation import Augmentation
from zoo.datasets.distortion import distort
from zoo.datasets.image_sources import as_source
from zoo.datasets.messages import counted, listed, warn_once
from zoo.datasets.options import HIGHEST_SEED, check_bool, check_int, is_int
from zoo.datasets.plain_batches import shuffled_places
from zoo.datasets.streams import ENDLESS, Pace, check_start, drawn_ahead, handed_on


@dataclasses.dataclass(frozen=True, repr=False)
class ImageClasses:
    """Images by class.

    Attributes:
        images: uint8 [N, H, W, C], or a source of such images, see `zoo.datasets.image_sources`. 255 is ink (1 in the
            episodes).
        members: for each class the indices of its images, int64 arrays of any length.
        names: one name per class, unique.
        quarter_turns: per class the rotation of its images, in counter-clockwise quarter turns.
        groups: per class the name of the group it belongs to, such as its alphabet; None where there are no groups.
        distorted: whether episodes show each image under an affine transform of its own, see `zoo.datasets.distortion`.
        image_names: per image its file, where the subsets share out the images of the same classes; None where they share
            out classes.
        augmentation: how episodes change each image, a `zoo.datasets.augmentation.Augmentation`, or None.
    """

    images: object
    members: tuple
    names: tuple
    quarter_turns: tuple
    groups: tuple | None = None
    distorted: bool = False
    image_names: tuple | None = None
    augmentation: Augmentation | None = None

    @classmethod
    def from_labels(cls, images, labels, names, groups=None):
        """Classes from one int label per image; `names[label]` names a class and `groups[label]` its group."""
        members = tuple(np.flatnonzero(labels == label) for label in range(len(names)))
        return cls(images, members, tuple(names), (0,) * len(names), None if groups is None else tuple(groups))

    def __repr__(self):
        groups = f" in {counted(len(set(self.groups)), 'group')}" if self.groups is not None else ""
        num_images = counted(self.num_images, "image")
        shape = "x".join(str(length) for length in self.image_shape)
        classes = counted(self.num_classes, "class", "classes")
        shown = f"{', distorted' if self.distorted else ''}{', augmented' if self.augmentation else ''}"
        return f"ImageClasses({classes}{groups}, {num_images} of {shape}{shown})"

    @property
    def num_classes(self):
        return len(self.members)

    @property
    def num_images(self):
        """Of all classes together."""
        return sum(len(rows) for rows in self.members)

    @property
    def image_shape(self):
        return tuple(self.images.shape[1:])

    @property
    def input_shape(self):
        """Shape of one input of a model that is to learn from these classes."""
        return self.image_shape

    def select(self, class_indices):
        """These classes alone; the images stay shared."""
        chosen = [int(index) for index in class_indices]
        return dataclasses.replace(
            self,
            members=tuple(self.members[i] for i in chosen),
            names=tuple(self.names[i] for i in chosen),
            quarter_turns=tuple(self.quarter_turns[i] for i in chosen),
            groups=None if self.groups is None else tuple(self.groups[i] for i in chosen),
        )

    def with_rotations(self):
        """Four classes for each: upright, and turned by 90, 180 and 270 degrees. The images stay shared.

        A group becomes four as well, one per orientation.
        """
        if self.image_shape[0] != self.image_shape[1]:
            raise ValueError(f"Only square images can be turned. Received: image shape {self.image_shape}")
        return dataclasses.replace(
            self,
            members=self.members * 4,
            names=_turned_names(self.names),
            quarter_turns=tuple(k for k in range(4) for _ in self.names),
            groups=None if self.groups is None else _turned_names(self.groups),
        )

    def with_distortions(self):
        """The same classes, whose images `episodes` shows under random affine transforms. The images stay shared."""
        return dataclasses.replace(self, distorted=True)

    def with_image_names(self, names):
        """The same classes, of a subset that shares them with others: `names` are those of its images, one each."""
        return dataclasses.replace(self, image_names=tuple(names))

    def with_augmentation(self, options):
        """The same classes, whose images `episodes` and `labelled_batches` show changed at random.

        Args:
            options: a dict of the arguments of `zoo.datasets.augmentation.Augmentation`; None or {} changes nothing.

        Raises:
            ValueError: for unknown names, values out of range, or padding of more than the side of an image.
        """
        augmentation = Augmentation.from_options(options)
        if augmentation:
            check_int("crop_padding", augmentation.crop_padding, 0, min(self.image_shape[:2]))
        return dataclasses.replace(self, augmentation=augmentation)

    def image(self, class_index, number):
        """One image of a class as float32 [H, W, C] from 0 to 1, never distorted or augmented."""
        pixels = self.images[self.members[class_index][number]]
        return np.rot90(pixels, self.quarter_turns[class_index]).astype(np.float32) / 255.0

    def episodes(self, way=5, shot=1, query=15, num_tasks=1, seed=0, start=0, shard=(1, 0), within_groups=False):
        """Endless episodes in the wire format of `zoo.core.episode`, as a tf.data.Dataset of `(x, y)`.

        Task number i depends on `seed` and i alone: the same seed gives the same episodes on one machine, from any start.
        Support and query images of a task are disjoint; class labels are drawn anew for each task; rows are shuffled.

        Args:
            way: classes per task; an int, or (lowest, highest), drawn per task and padded with label -1.
            shot: support images per class; an int or (lowest, highest).
            query: query images per class.
            num_tasks: tasks per batch, the meta-batch T.
            seed: int of at least 0, below 2 ** 63.
            start: number of the first batch, to go on after an interruption.
            shard: (number of shards, index): every how many batches one is kept, for distributed training.
            within_groups: whether all classes of a task come from one group, drawn for each task among the groups that
                have enough classes, all equally often. Characters of one alphabet are harder to tell apart.

        Raises:
            ValueError: for counts that these classes, or within groups their largest group, cannot give; for
                `within_groups` where there are no groups. Before anything is drawn.
        """
        ways, shots, chosen = self._drawn_from(way, shot, query, num_tasks, within_groups)
        check_int("seed", seed, 0, HIGHEST_SEED)
        check_start(start, shard, num_tasks)
        sample_task = chosen._task_sampler(ways, shots, query, seed, within_groups)
        padded = ways[0] != ways[1] or shots[0] != shots[1]
        num_support, num_query = ways[1] * shots[1], ways[1] * query
        pixels = list(self.image_shape)
        shapes = (
            {"support_x": [num_support] + pixels, "support_y": [num_support], "query_x": [num_query] + pixels},
            [num_query],
        )
        pace = Pace.of(self._source, num_tasks * (num_support + num_query))

        def sample_padded(number, source):
            batch = tf.data.Dataset.range(number * num_tasks, (number + 1) * num_tasks).map(
                lambda i: sample_task(i, source), **pace.calls
            )
            return batch.padded_batch(num_tasks, shapes, _PADDING, drop_remainder=True)

        def sample_batch(number, source):
            numbers = number * num_tasks + tf.range(num_tasks, dtype=tf.int64)
            return tf.map_fn(lambda i: sample_task(i, source), numbers, fn_output_signature=_task_signature(shapes))

        numbers = tf.data.Dataset.range(start, ENDLESS // num_tasks).shard(*shard)
        numbered = tf.data.Dataset.zip(numbers, handed_on((self._source.tensors(), chosen._table())))
        return drawn_ahead(
            numbered.flat_map(sample_padded) if padded else numbered.map(sample_batch, **pace.calls), pace
        )

    def labelled_batches(self, batch_size, seed=0, start=0, shard=(1, 0)):
        """Endless batches for training a plain classifier of these classes, as a tf.data.Dataset of `(x, y)`.

        Each pass shows every image once, in an order of its own, of `seed` and the number of the pass alone; a batch goes on in
        the next pass where one ends. Batch number i depends on `seed` and i alone.

        Args:
            batch_size: images per batch.
            seed: int of at least 0, below 2 ** 63.
            start: number of the first batch, to go on after an interruption.
            shard: (number of shards, index): every how many batches one is kept, for distributed training.

        Returns:
            x float32 [batch_size, H, W, C] from 0 to 1, distorted and augmented as in `episodes`; y int64 [batch_size], the
            index of the class in `names`.

        Raises:
            ValueError: for a batch of more images than there are, or another argument out of range.

        Example:
            >>> x, y = next(iter(load("glyphs", "train").labelled_batches(64)))
        """
        check_int("seed", seed, 0, HIGHEST_SEED)
        check_int("batch_size", batch_size, 1, self.num_images)
        check_start(start, shard, batch_size)
        labels = np.repeat(np.arange(self.num_classes), [len(rows) for rows in self.members])
        tables = np.concatenate(self.members).astype(np.int64), labels, np.asarray(self.quarter_turns, np.int64)
        images_of, pace = self._shown(), Pace.of(self._source, batch_size)

        def draw(number, source):
            images, rows, labels, turns = source
            places = shuffled_places(number, batch_size, self.num_images, seed)
            labels = tf.gather(labels, places)
            batch_seed = tf.random.experimental.stateless_fold_in(tf.stack([tf.constant(seed, tf.int64), number]), 1)
            return images_of(images, tf.gather(rows, places), tf.gather(turns, labels), batch_seed), labels

        numbers = tf.data.Dataset.range(start, ENDLESS // batch_size).shard(*shard)
        numbered = tf.data.Dataset.zip(numbers, handed_on((self._source.tensors(), *tables)))
        return drawn_ahead(numbered.map(draw, **pace.calls), pace)

    def check_episodes(self, way=5, shot=1, query=15, num_tasks=1, within_groups=False):
        """Raises the ValueError that `episodes` would raise for these counts, without making anything."""
        self._drawn_from(way, shot, query, num_tasks, within_groups)

    def _drawn_from(self, way, shot, query, num_tasks, within_groups):
        """(range of way, range of shot, the classes that are large enough). Raises ValueError for impossible counts."""
        ways, shots = _as_range("way", way, 2), _as_range("shot", shot, 1)
        check_int("query", query, 1)
        check_int("num_tasks", num_tasks, 1)
        check_bool("within_groups", within_groups)
        chosen = self._large_enough(ways[1], shots[1], query)
        if within_groups:
            chosen._check_groups(ways[1])
        return ways, shots, chosen

    def drawn_names(self, number=0, way=5, shot=1, query=15, seed=0, within_groups=False):
        """The names of the classes in task `number` of `episodes` with the same arguments: a tuple, by label."""
        ways, _, chosen = self._drawn_from(way, shot, query, 1, within_groups)
        check_int("seed", seed, 0, HIGHEST_SEED)
        seeds = _task_seeds(seed, number)
        classes = chosen._class_sampler(within_groups)(_draw(ways, seeds[0]), seeds[2])
        return tuple(str(chosen.names[index]) for index in classes.numpy())

    @functools.cached_property
    def _source(self):
        return as_source(self.images)

    def _table(self):  # [num_classes, images of the largest class]: indices of the images, then -1
        sizes = [len(rows) for rows in self.members]
        table = np.full((self.num_classes, max(sizes)), -1, np.int64)
        for row, rows in zip(table, self.members):
            row[: len(rows)] = rows
        return table

    def _large_enough(self, way, shot, query):
        """The classes that have `shot` + `query` images. Raises ValueError where they are fewer than `way`."""
        if way > self.num_classes:
            raise ValueError(f"`way` must be at most the number of classes, {self.num_classes}. Received: way={way}")
        sizes = np.array([len(rows) for rows in self.members])
        small = np.flatnonzero(sizes < shot + query)
        if not len(small):
            return self
        num_large = self.num_classes - len(small)
        if way > num_large:
            smallest = int(np.argmin(sizes))
            raise ValueError(
                f"`shot` + `query` must be at most the images of a class, in `way` classes: {num_large} of "
                f"{self.num_classes} have as many, class {self.names[smallest]!r} has {sizes[smallest]}. "
                f"Received: shot={shot}, query={query}, way={way}"
            )
        warn_once(
            f"{counted(len(small), 'class', 'classes')} of {self.num_classes} left out, with fewer than the "
            f"{shot + query} images of an episode: {listed(self.names[index] for index in small)}"
        )
        return self.select(np.flatnonzero(sizes >= shot + query))

    def _check_groups(self, way):
        if self.groups is None:
            raise ValueError("`within_groups` needs classes with groups, and these have none. Received: True")
        names, sizes = np.unique(self.groups, return_counts=True)
        largest = int(np.argmax(sizes))
        if way > sizes[largest]:
            raise ValueError(
                f"`way` within groups must be at most the classes of the largest group, {sizes[largest]} of "
                f"{str(names[largest])!r}. Received: way={way}"
            )

    def _class_sampler(self, within_groups):
        """A function (way, seed) -> indices of `way` classes, in random order."""
        if not within_groups:
            return lambda way, seed: tf.math.top_k(tf.random.stateless_uniform([self.num_classes], seed), way)[1]
        _, group_of, sizes = np.unique(self.groups, return_inverse=True, return_counts=True)
        group_of, sizes = tf.constant(group_of, tf.int64), tf.constant(sizes, tf.int32)

        def draw(way, seed):
            keys = tf.random.stateless_uniform(sizes.shape, tf.random.experimental.stateless_fold_in(seed, 1))
            group = tf.argmax(tf.where(sizes >= way, keys, -1.0))
            keys = tf.random.stateless_uniform([self.num_classes], seed)
            return tf.math.top_k(tf.where(group_of == group, keys, -1.0), way)[1]

        return draw

    def _shown(self):
        """A function from `_source.tensors()`, rows [n], their quarter turns [n] and a seed to float32 [n, H, W, C]."""
        height, width, channels = self.image_shape
        positions = np.arange(height * width).reshape(height, width)
        turned = np.stack([np.rot90(positions, k).ravel() for k in range(4)]) if any(self.quarter_turns) else None

        def images_of(tensors, rows, quarter_turns, seed):
            images = self._source.pixels(tensors, rows)
            if turned is not None:
                flat = tf.reshape(images, [-1, height * width, channels])
                flat = tf.gather(flat, tf.gather(tf.constant(turned), quarter_turns), axis=1, batch_dims=1)
                images = tf.reshape(flat, [-1, *self.image_shape])
            images = tf.cast(images, tf.float32) / 255.0
            if self.distorted:
                images = distort(images, tf.random.experimental.stateless_fold_in(seed, 1))
            if self.augmentation:
                images = self.augmentation(images, tf.random.experimental.stateless_fold_in(seed, 2))
            return images

        return images_of

    def _task_sampler(self, ways, shots, query, seed, within_groups):
        """A function from a task's number and (`_source.tensors()`, `_table()`) to one unpadded episode."""
        draw_classes, images_of = self._class_sampler(within_groups), self._shown()
        turns = tf.constant(self.quarter_turns, tf.int64)

        def sample_task(number, source):
            pixels, table = source
            way_seed, shot_seed, class_seed, image_seed, support_seed, query_seed = _task_seeds(seed, number)
            way = _draw(ways, way_seed)
            shot = _draw(shots, shot_seed)
            classes = draw_classes(way, class_seed)
            candidates = tf.gather(table, classes)  # [way, images per class]
            keys = tf.random.stateless_uniform(tf.shape(candidates), image_seed)
            _, chosen = tf.math.top_k(tf.where(candidates < 0, -1.0, keys), shot + query)
            rows = tf.gather(candidates, chosen, batch_dims=1)  # [way, shot + query]
            labels = tf.broadcast_to(tf.range(tf.cast(way, tf.int64))[:, None], tf.shape(rows))
            rotations = tf.broadcast_to(tf.gather(turns, classes)[:, None], tf.shape(rows))

            def part(columns, order_seed):  # shuffled, so that position says nothing about the label
                flat = [tf.reshape(values[:, columns], [-1]) for values in (rows, labels, rotations)]
                order = tf.argsort(tf.random.stateless_uniform(tf.shape(flat[0]), order_seed))
                part_rows, part_labels, part_rotations = (tf.gather(values, order) for values in flat)
                return images_of(pixels, part_rows, part_rotations, order_seed), part_labels

            support_x, support_y = part(slice(None, shot), support_seed)
            query_x, query_y = part(slice(shot, None), query_seed)
            return {"support_x": support_x, "support_y": support_y, "query_x": query_x}, query_y

        return sample_task


_LABEL_PADDING = np.int64(PADDING_LABEL)  # a tensor would start TensorFlow at import, before its threads can be set
_PADDING = ({"support_x": 0.0, "support_y": _LABEL_PADDING, "query_x": 0.0}, _LABEL_PADDING)


def _turned_names(names):
    return tuple(f"{name}/rot{90 * k:03d}" for k in range(4) for name in names)


def _task_signature(shapes):
    x_shapes, y_shape = shapes
    x = {key: tf.TensorSpec(shape, tf.int64 if key == "support_y" else tf.float32) for key, shape in x_shapes.items()}
    return x, tf.TensorSpec(y_shape, tf.int64)


def _task_seeds(seed, number):
    return tf.unstack(tf.random.split(tf.stack([tf.constant(seed, tf.int64), tf.cast(number, tf.int64)]), 6))


def _as_range(name, value, lowest):
    bounds = tuple(value) if isinstance(value, (list, tuple)) else (value, value)
    is_range = len(bounds) == 2 and all(is_int(bound) for bound in bounds)
    if not is_range or not lowest <= bounds[0] <= bounds[1]:
        raise ValueError(f"`{name}` must be an int of at least {lowest}, or (low, high). Received: {name}={value!r}")
    return tuple(int(bound) for bound in bounds)


def _draw(bounds, seed):
    low, high = bounds
    return low if low == high else tf.random.stateless_uniform([], seed, low, high + 1, tf.int32)
