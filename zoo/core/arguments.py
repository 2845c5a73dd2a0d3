"""Checked arguments of constructors: each function returns the value, or raises a line with what was expected and what came."""

import math
import numbers

import keras
import numpy as np


def count(name, value, at_least=1):
    """An int of at least `at_least`.

    Raises:
        ValueError: for anything else, booleans and whole floats too.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < at_least:
        raise ValueError(f"`{name}` must be an int of at least {at_least}. Received: {name}={value!r}")
    return int(value)


def number(name, value, above=None, at_least=None, at_most=None, below=None):
    """A finite float within bounds, those that are not None.

    Raises:
        ValueError: for anything else, strings of digits too.
    """
    fits = not isinstance(value, bool) and isinstance(value, numbers.Real) and math.isfinite(value)
    fits = fits and (above is None or value > above)
    fits = fits and (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
    fits = fits and (below is None or value < below)
    if not fits:
        limits = (("above", above), ("of at least", at_least), ("of at most", at_most), ("below", below))
        bounds = " and ".join(f"{words} {limit}" for words, limit in limits if limit is not None)
        raise ValueError(f"`{name}` must be a number{' ' if bounds else ''}{bounds}. Received: {name}={value!r}")
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def interval(name, value):
    """A pair (low, high) of finite floats, low not above high.

    Raises:
        ValueError: for anything else.
    """
    try:
        low, high = (number(name, bound) for bound in value)
    except (TypeError, ValueError):
        low, high = 1, 0
    if low > high:
        raise ValueError(f"`{name}` must be (low, high), two numbers. Received: {name}={value!r}")
    return low, high


def sizes(name, value, wanted=None):
    """A tuple of ints of at least 1; as many as `wanted` names, such as ("height", "width", "channels"), where it is given.

    Raises:
        ValueError: for anything else.
    """
    try:
        checked = tuple(count(name, size) for size in value)
    except (TypeError, ValueError):
        checked = None
    if checked is None or (wanted and len(checked) != len(wanted)):
        expected = f"({', '.join(wanted)}), ints" if wanted else "a tuple of ints"
        raise ValueError(f"`{name}` must be {expected} of at least 1. Received: {name}={value!r}")
    return checked


IMAGE = ("height", "width", "channels")


def choice(name, value, choices):
    """One of `choices`.

    Raises:
        ValueError: for anything else.
    """
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"`{name}` must be one of {tuple(choices)}. Received: {name}={value!r}")
    return value


def flag(name, value):
    """True or False.

    Raises:
        ValueError: for anything else: a word such as "false" would count as true.
    """
    if not isinstance(value, bool):
        raise ValueError(f"`{name}` must be True or False. Received: {name}={value!r}")
    return value


def initializer(name, value):
    """The Keras initializer that is given, or of that name or config; None stays None.

    Raises:
        ValueError: for anything else.
    """
    try:
        if value is None or isinstance(value, (str, dict)) or callable(value):
            return keras.initializers.get(value)
    except Exception:  # Keras raises several for names and configs that it does not know
        pass
    raise ValueError(f"`{name}` must be a Keras initializer, its name or its config. Received: {name}={value!r}")


INPUT_DTYPES = ("float16", "bfloat16", "float32", "float64", "int32", "int64")
_LARGEST_OF_LEVELS = 0.02  # 1 / 127.5 and 1 / 255 are for levels
OUTPUTS = {2: "embeddings [B, D]", 4: "maps [B, h, w, C]"}


def backbone(value, output_rank):
    """A keras.Model with one input, whose shape is known, and one output, [B, D] or [B, h, w, C] by `output_rank`.

    Raises:
        ValueError: for anything else, and for one that is not built or whose call is code: its shapes are not known.
    """
    if not isinstance(value, keras.Model):
        raise ValueError(f"`backbone` must be a keras.Model. Received: {value!r}")
    try:
        inputs, outputs = value.inputs, value.outputs
    except (AttributeError, ValueError):
        inputs = outputs = None
    wanted = "`backbone` must be a functional or built Sequential keras.Model with one input and one output."
    if not inputs or not outputs:
        raise ValueError(
            f"{wanted} Received: {type(value).__name__} {value.name!r}, which has no inputs yet; "
            "keras.Model(images, network(images)) of a keras.Input has"
        )
    if len(inputs) > 1 or len(outputs) > 1:
        raise ValueError(f"{wanted} Received: {len(inputs)} inputs and {len(outputs)} outputs")
    for part in ("input", "output"):
        if isinstance(getattr(value, part, None), dict):
            raise ValueError(
                f"{wanted} Received: a dict as its {part}; keras.Model(model.inputs[0], model.outputs[0]) is without one"
            )
    for layer in value._flatten_layers():
        if getattr(layer, "stateful", False):
            raise ValueError(
                f"`backbone` must have no layer that remembers the rows before. Received: {layer.name} with stateful=True"
            )
    if inputs[0].dtype not in INPUT_DTYPES:
        raise ValueError(
            f"`backbone` must take floats, images from 0 to 1, or numbers of tokens as int32 or int64: other integers would make "
            f"0 of them. Received: an input of dtype {inputs[0].dtype}"
        )
    if len(inputs[0].shape) == 4:
        _refuse_levels(value, inputs[0])
    if len(outputs[0].shape) != output_rank or None in outputs[0].shape[1:]:
        way_out = "; put a GlobalAveragePooling2D or Flatten layer behind it" if output_rank == 2 else ""
        raise ValueError(
            f"`backbone` must give {OUTPUTS[output_rank]}, of known size. Received: output shape {outputs[0].shape}{way_out}"
        )
    return value


def made_again(serialized):
    """The network of a config, as every copy, export and preset of a model needs it.

    Raises:
        ValueError: for one with a class of the user's own that Keras cannot make again.
    """
    own = sorted(set(_own_classes(serialized)))  # Keras takes the config apart
    try:
        return keras.saving.deserialize_keras_object(serialized)
    except TypeError as error:
        raise ValueError(
            "A copy of the model makes its backbone again from configs: classes of your own must be registered, with "
            "@keras.saving.register_keras_serializable(), and take the arguments that their `get_config` gives, `name` too. "
            f"Received: {', '.join(own) or type(error).__name__}"
        ) from error


def _own_classes(serialized):
    """Names of the classes in a config that are not Keras' own."""
    if isinstance(serialized, list):
        return [name for value in serialized for name in _own_classes(value)]
    if not isinstance(serialized, dict):
        return []
    is_own = "class_name" in serialized and not str(serialized.get("module")).startswith("keras")
    own = [serialized["class_name"]] if is_own and serialized["class_name"] != "__keras_tensor__" else []
    return own + [name for value in serialized.values() for name in _own_classes(value)]


def _refuse_levels(network, images):
    """Raises ValueError for a network that begins by dividing levels, and would make all but nothing of images from 0 to 1."""
    for layer in network.layers:
        if not any(tensor is images for node in layer._inbound_nodes for tensor in node.input_tensors):
            continue
        factor = _factor(layer)
        if factor < _LARGEST_OF_LEVELS:
            raise ValueError(
                f"`backbone` must take images from 0 to 1. Received: layer {layer.name}, which multiplies levels up to 255 by "
                f"{factor:.3g}; put keras.layers.Rescaling(255) before the network"
            )
        if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):  # none of a subclass, whose call is code
            _refuse_levels(layer, layer.inputs[0])


def _factor(layer):
    """The largest number that a layer multiplies a channel by; 1 where it is not known."""
    if isinstance(layer, keras.layers.Rescaling):
        return float(np.max(np.abs(layer.scale)))
    if isinstance(layer, keras.layers.Normalization) and not layer.invert:
        return float(1 / np.sqrt(max(np.min(layer.variance), 1e-12)))
    return 1.0


def dtype_policies(model, backbone, may_be_mixed):
    """Raises ValueError unless a model and the layers of its backbone compute alike.

    All in float32, or all in float64; with `may_be_mixed` layers of the backbone may compute in half precision. Layers that are
    made later have the policy of the moment, so that it counts too.
    """
    layers = (model, *backbone._flatten_layers())
    policies = {keras.config.dtype_policy().name, *(layer.dtype_policy.name for layer in layers)}
    known = ["float32", "mixed_bfloat16", "mixed_float16"] if may_be_mixed else ["float32"]
    if policies != {"float64"} and not policies <= set(known):
        raise ValueError(
            f"{type(model).__name__} and its backbone must have dtype policies among {known}, or float64 alone. "
            f"Received: {sorted(policies)}"
        )
