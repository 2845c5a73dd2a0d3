"""Any network of keras.applications, with its own preprocessing inside."""

import inspect
import os
import pathlib

import keras

from zoo.core import arguments
from zoo.core.application_pixels import ApplicationPixels
from zoo.core.replace_normalization import replace_normalization

POOLINGS = ("avg", "max")
# What each family's `preprocess_input` does, by the beginning of the name; the longest one counts.
_PREPROCESSING = {
    "ConvNeXt": "inside",
    "DenseNet": "torch",
    "EfficientNet": "inside",
    "Inception": "tf",
    "MobileNet": "tf",
    "MobileNetV3": "inside",
    "NASNet": "tf",
    "ResNet": "caffe",
    "ResNet50V2": "tf",
    "ResNet101V2": "tf",
    "ResNet152V2": "tf",
    "VGG": "caffe",
    "Xception": "tf",
}
# Sizes below which a family's network has no map left; 32 for the others.
_SMALLEST = {"Inception": 75, "Xception": 71}


def application_names():
    """Names of the networks in keras.applications, sorted."""
    return sorted(name for name in dir(keras.applications) if name[0].isupper() and callable(_network(name)))


def preprocessing_of(name):
    """How a network of keras.applications wants its pixels: a mode of `ApplicationPixels`."""
    return _PREPROCESSING[max((prefix for prefix in _PREPROCESSING if name.startswith(prefix)), key=len)]


def keras_application(
    name,
    input_shape=(224, 224, 3),
    weights=None,
    trainable=False,
    pooling="avg",
    image_size=None,
    statistics="running",
    options=None,
):
    """A network of keras.applications without its top, for images from 0 to 1: resized, preprocessed, embedded, pooled.

    Resizing and the preprocessing of the network are layers, so that files, exports and clients keep the wire format. Keras'
    normalization layers are replaced by the zoo's, with weights and averages (`zoo.replace_normalization`), so that methods that
    adapt by gradients may differentiate through them.

    Args:
        name: of the network, "MobileNetV2" say; `application_names()` lists them.
        input_shape: (height, width, channels) of the images of the data set, 1 or 3 channels; grey becomes three times the same.
        weights: None, or "none" or "" as a flag of a config says it, for random ones; "imagenet" for those that Keras downloads
            once and keeps; or a file of weights of this network without its top (.weights.h5 or .h5).
        trainable: whether training changes the network. Frozen, its BatchNorm has the averages that the weights came with.
        pooling: "avg" or "max" over height and width.
        image_size: side at which the network sees the images. None: their own size, or the smallest that the network takes
            where they are smaller.
        statistics: of BatchNorm where it is trainable, see `zoo.BatchNorm`: "running", or "batch" or "frozen" for
            `zoo.MAML` and its like.
        options: dict of further arguments of the network, {"alpha": 0.35} say.

    Returns:
        keras.Model, float32 [B, *input_shape] -> [B, D], named after the network in lower case.

    Raises:
        ValueError: for an unknown name, weights that cannot be had or are those of another network, and for what the network
            itself refuses.

    Example:

    >>> import zoo
    >>> backbone = zoo.backbones.keras_application("MobileNetV2", (84, 84, 3), options={"alpha": 0.35})
    >>> model = zoo.PrototypicalNetwork(backbone, distance_scale="learned")
    """
    if name not in application_names():
        raise ValueError(f"`name` must be one of {application_names()}. Received: name={name!r}")
    arguments.choice("pooling", pooling, POOLINGS)
    arguments.flag("trainable", trainable)
    input_shape = arguments.sizes("input_shape", input_shape, arguments.IMAGE)
    if input_shape[-1] not in (1, 3):
        raise ValueError(f"`input_shape` must be (height, width, 1 or 3). Received: input_shape={input_shape}")
    height, width = _seen_size(name, input_shape, image_size)
    network = _built(name, (height, width, 3), weights, pooling, options or {})
    network.trainable = trainable
    network = replace_normalization(network, statistics)
    inputs = x = keras.Input(tuple(input_shape), name="images")
    if (height, width) != tuple(input_shape[:2]):
        x = keras.layers.Resizing(height, width, name="resize")(x)
    if input_shape[-1] == 1:
        x = keras.layers.Concatenate(name="colours")([x, x, x])
    x = ApplicationPixels(preprocessing_of(name), name="preprocess")(x)
    return keras.Model(inputs, network(x), name=name.lower())


def _network(name):
    return getattr(keras.applications, name, None)


def _seen_size(name, input_shape, image_size):
    smallest = next((size for prefix, size in _SMALLEST.items() if name.startswith(prefix)), 32)
    if image_size is None:
        return tuple(max(size, smallest) for size in input_shape[:2])
    if arguments.count("image_size", image_size) < smallest:
        raise ValueError(f"`image_size` must be at least {smallest} for {name}. Received: image_size={image_size}")
    return image_size, image_size


def _built(name, input_shape, weights, pooling, options):
    known = sorted(
        set(inspect.signature(_network(name)).parameters)
        - {"include_top", "weights", "input_tensor", "input_shape", "pooling", "classes", "classifier_activation"}
        - {"include_preprocessing"}
    )
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"`options` of {name} must be among {known}. Received: {unknown}")
    weights = None if str(weights).lower() in ("none", "") else weights
    weights = os.path.expanduser(weights) if isinstance(weights, (str, os.PathLike)) else weights
    named = weights is None or weights == "imagenet"
    if not named and not (isinstance(weights, str) and pathlib.Path(weights).is_file()):
        raise ValueError(f"`weights` must be None, 'imagenet' or a file that is there. Received: weights={weights!r}")
    build = lambda weights: _network(name)(  # noqa: E731
        include_top=False, weights=weights, input_shape=input_shape, pooling=pooling, **options
    )
    try:
        network = build(weights if named else None)
        if not named:
            network.load_weights(weights)
        return network
    except Exception as error:  # Keras raises a plain one for what cannot be downloaded
        what = (
            "be downloaded once, into ~/.keras/models, or come from a file"
            if weights == "imagenet"
            else "fit the network"
        )
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        if weights is None:
            raise ValueError(f"{name} cannot be built with input shape {input_shape} and {options}: {first}") from error
        raise ValueError(f"The weights of {name} must {what}. Received: weights={str(weights)!r} ({first})") from error
