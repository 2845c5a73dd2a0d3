"""Images that are prepared one after the other, kept in memory while they are few and on disk where they are many."""

import concurrent.futures
import os
import platform
import shutil
import tempfile
import weakref

import numpy as np
import tensorflow as tf

from zoo.datasets.cache import cache_dir
from zoo.datasets.image_files import read_image
from zoo.datasets.image_sources import EncodedSource, decoded

IN_MEMORY = 2**28  # bytes of one data set
_PER_FOLDER = 1000
_PREFIX = "images-"
_CHUNK = 256  # items in the making at the same time


class ImageStore:
    """Where images are added, and what they are drawn from at the end.

    Up to IN_MEMORY bytes stay in memory; of more, each image is a file in a temporary folder in that of `zoo.datasets.cache`. It
    goes with the source, at the latest with the process; what a killed one leaves goes with the next that needs one.

    Args:
        image_shape: (height, width, channels) of each image.
        encoding: "jpeg" or "png" where files are added as they are; None where pixels are.
    """

    def __init__(self, image_shape, encoding=None):
        self._image_shape, self._encoding = tuple(image_shape), encoding
        self._waiting, self._num_bytes, self._stored = [], 0, None

    def __len__(self):
        return len(self._waiting) + (len(self._stored) if self._stored else 0)

    def add(self, image):
        """One image: uint8 [H, W, C], or the bytes of its file. Raises OSError where the disk has no room for more."""
        data = image if isinstance(image, bytes) else np.ascontiguousarray(image).tobytes()
        self._waiting.append(data)
        self._num_bytes += len(data)
        if self._stored is None and self._num_bytes > IN_MEMORY:
            self._stored = StoredSource(_temporary_folder(), self._image_shape, self._encoding)
        if self._stored is not None:
            self._stored.extend(self._waiting)
            self._waiting = []

    def source(self):
        """A uint8 array [N, H, W, C], or a source as `zoo.datasets.image_sources` tells of them."""
        if self._stored is not None:
            return self._stored
        if self._encoding is not None:
            return EncodedSource(self._waiting, self._image_shape, self._encoding)
        images = np.empty((len(self), *self._image_shape), np.uint8)
        for place, data in zip(images, self._waiting):
            place[...] = np.frombuffer(data, np.uint8).reshape(self._image_shape)
        return images


class StoredSource:
    """Images on disk, read when they are drawn: a source as `zoo.datasets.image_sources` tells of them.

    They are read by the graph, without Python, whose lock an iterator that is deleted would wait for, and not mapped into
    memory, whose resident part would grow with what has been drawn.

    Args:
        folder: an empty folder, which goes with the source.
        image_shape: (height, width, channels) of each image.
        encoding: "jpeg" or "png", or None for pixels.
    """

    def __init__(self, folder, image_shape, encoding=None):
        self._folder, self._image_shape, self._length, self.encoding = str(folder), image_shape, 0, encoding
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    @property
    def shape(self):
        return (self._length, *self._image_shape)

    @property
    def num_threads(self):
        return os.cpu_count() or 1

    def __len__(self):
        return self._length

    def extend(self, images):
        """Appends images, the bytes of each. Raises OSError where the disk has no room."""
        for data in images:
            path = self._path(self._length)
            try:
                if self._length % _PER_FOLDER == 0:
                    os.mkdir(os.path.dirname(path))
                with open(path, "wb") as file:
                    file.write(data)
            except OSError as error:
                raise OSError(
                    f"{self._folder} must have room for images, or METAZOA_CACHE name another folder. "
                    f"Received: {error.strerror} at image {self._length:,}"
                ) from error
            self._length += 1

    def __getitem__(self, row):
        with open(self._path(int(row)), "rb") as file:
            data = file.read()
        if self.encoding is None:
            return np.frombuffer(data, np.uint8).reshape(self._image_shape)
        return read_image(data, *self._image_shape, invert=False)

    def tensors(self):
        return tf.zeros([0], tf.uint8)  # nothing that lies in memory

    def pixels(self, _, rows):
        """int64 [n] -> uint8 [n, H, W, C]."""
        folders, names = tf.strings.as_string(rows // _PER_FOLDER), tf.strings.as_string(rows)
        paths = tf.strings.join([self._folder, folders, names], os.sep)
        files = tf.map_fn(tf.io.read_file, paths, fn_output_signature=tf.string, parallel_iterations=16)
        if self.encoding is not None:
            return decoded(files, self._image_shape, self.encoding)
        return tf.reshape(tf.io.decode_raw(files, tf.uint8), [-1, *self._image_shape])

    def _path(self, row):
        return os.path.join(self._folder, str(row // _PER_FOLDER), str(row))


def _temporary_folder():
    """A new folder that says which process on which machine it is of; those of processes that are gone are removed."""
    base, machine = cache_dir(), platform.node() or "here"
    base.mkdir(parents=True, exist_ok=True)
    for path in base.glob(f"{_PREFIX}{machine}-*"):
        process = path.name.removeprefix(f"{_PREFIX}{machine}-").partition("-")[0]
        if process.isdigit() and not _is_running(int(process)):
            shutil.rmtree(path, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"{_PREFIX}{machine}-{os.getpid()}-", dir=base)


def _is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is there, and another user's
    return True


def in_parallel(function, items):
    """The results of a function that leaves Python's lock alone, such as Pillow's, on all cores, in order, a chunk at a time."""
    items = list(items)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(0, len(items), _CHUNK):
            yield from pool.map(function, items[first : first + _CHUNK])
