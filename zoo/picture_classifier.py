"""From a model in hand and a few pictures per class to names of other pictures."""

import collections.abc
import os
import pathlib
import warnings

import numpy as np
import tensorflow as tf
from PIL import Image

from zoo.datasets.image_files import check_fit, example_folders, files_below, open_image, pixels_of, upright

_MOST_AT_ONCE = 256  # pictures that are answered in one pass
# Modes of PIL whose black and white are not known, or that Pillow does not convert.
_NO_LEVELS = ("F", "I", "LAB", "La")
_KINDS = "NumPy uint8 or float from 0 to 1, [H, W] or [H, W, C], a PIL image, or a path"


class PictureClassifier:
    """A model that has learned classes from pictures: what `model.learn` returns.

    Attributes:
        model: the FewShotModel.
        names: of the classes, a tuple.
        task_state: what the model learned, its task state with one task.
        support_images: float32 [S, H, W, C], what it learned from, as the model takes it.
        support_labels: int64 [S], indices of `names`.
        invert: whether pictures are dark ink on light paper, to turn into ink 1 and paper 0.

    Example:
        >>> classifier = model.learn({"cat": ["cat1.jpg", "cat2.jpg"], "dog": ["dog1.jpg"]})
        >>> name, probability = classifier.predict("new.jpg")
        >>> classifier.predict(["new.jpg", "newer.jpg"])[1]
    """

    def __init__(self, model, names, support_images, support_labels, invert):
        self.model, self.names, self.invert = model, tuple(names), invert
        self.support_images, self.support_labels = support_images, support_labels
        self.task_state = model.adapt(*model.checked_support(support_images[None], support_labels[None]))

    def predict(self, pictures):
        """The class of a picture, (name, probability); of a list of pictures a list of these.

        Args:
            pictures: one picture or a list of them: see `learn`. An array [N, H, W, C] is a list.

        Raises:
            ValueError: for what is no picture, or cannot be read.
        """
        of_classes = self.probabilities(pictures)
        rows = of_classes if of_classes.ndim == 2 else of_classes[None]
        answers = [(self.names[row.argmax()], float(row.max())) for row in rows]
        return answers if of_classes.ndim == 2 else answers[0]

    def probabilities(self, pictures):
        """The probability of every class, in the order of `names`: float32 [N, classes], of one picture [classes].

        A transductive model answers a list of up to 256 pictures together: its answer to one depends on the others.
        """
        pictures = list(pictures) if _is_list(pictures) else pictures
        if not isinstance(pictures, list):
            return self._probabilities(_as_input(pictures, "The picture", self.model, self.invert)[None])[0]
        rows = [
            _as_input(picture, f"Picture {number}", self.model, self.invert) for number, picture in enumerate(pictures)
        ]
        parts = [np.stack(rows[start : start + _MOST_AT_ONCE]) for start in range(0, len(rows), _MOST_AT_ONCE)]
        return np.concatenate([np.zeros((0, len(self.names)), np.float32), *map(self._probabilities, parts)])

    def _probabilities(self, images):  # [N, H, W, C] -> [N, classes]
        logits = self.model.predict_with(self.task_state, self.model.checked_queries(images[None], self.task_state))
        return tf.nn.softmax(logits[0, :, : len(self.names)]).numpy()


def learn(model, classes, invert=None):
    """A PictureClassifier of the classes; see `FewShotModel.learn`."""
    _check_model(model)
    invert = bool(model.ink) if invert is None else invert
    if not isinstance(invert, bool):
        raise ValueError(f"`invert` must be True, False or None. Received: invert={invert!r}")
    by_name = _checked_classes(model, _class_folders(classes) if isinstance(classes, (str, os.PathLike)) else classes)
    images = [
        _as_input(picture, f"Picture {number} of class {name!r}", model, invert)
        for name, pictures in by_name.items()
        for number, picture in enumerate(pictures)
    ]
    labels = np.repeat(np.arange(len(by_name)), [len(pictures) for pictures in by_name.values()])
    if model.transductive:
        warnings.warn(
            f"This {type(model).__name__} answers pictures by those that are asked with it: one asked alone is answered by chance",
            stacklevel=3,
        )
    return PictureClassifier(model, by_name, np.stack(images), labels, invert)


def _check_model(model):
    shape = model.input_shape
    if model.target_size is not None or len(shape) != 3 or None in shape or shape[-1] not in (1, 3):
        raise ValueError(
            "`learn` needs a classifier of images [H, W, 1] or [H, W, 3] of a fixed size. "
            f"Received: {type(model).__name__} with input_shape={shape}, target_size={model.target_size}"
        )
    check_fit(model.image_fit)


def _class_folders(folder):
    root = pathlib.Path(folder).expanduser()
    if not root.is_dir():
        raise ValueError(f"Expected a folder with one folder of pictures per class. Received: {folder}")
    return {path.name: files_below(path)[0] for path in example_folders(root)}


def _checked_classes(model, classes):
    """{name: its pictures, a list}. Raises ValueError for anything else, and for fewer or more classes than there may be."""
    if not isinstance(classes, dict) or not all(isinstance(name, str) for name in classes):
        raise ValueError(
            "`classes` must be a dict from names to lists of pictures, or a folder with one folder of pictures per class. "
            f"Received: {list(classes)[:5] if isinstance(classes, dict) else type(classes).__name__}"
        )
    most = model.way or len(classes)
    if not 2 <= len(classes) <= max(2, most):
        more = "; `model.with_way(N)` takes more" if model.supports_variable_way and len(classes) > 2 else ""
        limit = f"to {model.way}, the way of this {type(model).__name__}{more}" if model.way else "or more"
        raise ValueError(f"`classes` must have 2 {limit}. Received: {len(classes)} ({', '.join(list(classes)[:5])})")
    for name, pictures in classes.items():
        if not _is_list(pictures):
            raise ValueError(
                f"Class {name!r} must have a list of pictures, or an array [N, H, W, C]. Received: {_described(pictures)}"
            )
    lists = {name: list(pictures) for name, pictures in classes.items()}
    for name, pictures in lists.items():
        if not pictures:
            raise ValueError(f"Class {name!r} must have at least one picture. Received: none")
    return lists


def _is_list(pictures):
    """Whether these are several pictures: a list, what goes through them once (a generator), or an array [N, H, W, C]."""
    is_sequence = isinstance(pictures, (list, tuple, collections.abc.Iterator))
    return is_sequence or (hasattr(pictures, "__array__") and getattr(pictures, "ndim", None) == 4)


def _as_input(picture, name, model, invert):
    """A picture as the model takes it: float32 [H, W, C]. Raises ValueError that begins with `name`, or names the file."""
    height, width, channels = model.input_shape
    if isinstance(picture, (str, os.PathLike)):
        image = open_image(pathlib.Path(picture).expanduser())
    elif isinstance(picture, Image.Image):
        image = _upright(picture, name)
    else:
        levels = _checked_array(picture, name)
        if levels.dtype != np.uint8 and levels.shape == model.input_shape:  # no rounding to levels of 255
            return (1 - levels if invert else levels).astype(np.float32)
        if levels.dtype != np.uint8:
            levels = np.round(255 * levels).astype(np.uint8)
        image = upright(Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels))
    return pixels_of(image, height, width, channels, invert, model.image_fit) / np.float32(255)


def _upright(picture, name):
    """`upright` of a PIL image. Raises ValueError for one that cannot be read, or whose levels have no range that is known."""
    is_of_file = picture.mode == "I" and picture.format == "PNG"  # 16 bits, as older versions of Pillow say it
    if picture.mode in _NO_LEVELS and not is_of_file:
        raise ValueError(f"{name} must be a PIL image of 8 bits, or of mode 'I;16'. Received: mode={picture.mode!r}")
    try:
        return upright(picture)
    except Exception as error:  # it is read when it is asked for, and may be broken, or closed
        raise ValueError(f"{name} cannot be read as an image: {type(error).__name__}: {error}") from error


def _checked_array(picture, name):
    """uint8, or float from 0 to 1: [H, W, 1], [H, W, 3] or [H, W, 4]."""
    array = np.asarray(picture) if hasattr(picture, "__array__") else None
    is_right = array is not None and (array.dtype == np.uint8 or np.issubdtype(array.dtype, np.floating))
    if (
        not is_right
        or array.ndim not in (2, 3)
        or 0 in array.shape
        or (array.ndim == 3 and array.shape[-1] not in (1, 3, 4))
    ):
        raise ValueError(f"{name} must be {_KINDS}; C is 1, 3 or 4. Received: {_described(picture)}")
    if array.dtype != np.uint8 and not (array.min() >= 0 and array.max() <= 1):
        raise ValueError(
            f"{name} must be floats from 0 to 1 (or uint8). Received: floats from {array.min():.6g} to {array.max():.6g}"
        )
    return array[..., None] if array.ndim == 2 else array


def _described(value):
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"an array of shape={tuple(value.shape)}, dtype={value.dtype}"
    return f"{type(value).__name__} {str(value)[:60]!r}"
