"""Backbones: plain functional builders, inputs to embeddings."""

import inspect

from zoo.backbones.application import application_names, keras_application
from zoo.backbones.conv4 import conv4, strided_conv4
from zoo.backbones.conv5 import conv5
from zoo.backbones.koch import koch
from zoo.backbones.mlp import mlp
from zoo.backbones.pixels import pixels, pixels_and_conv4
from zoo.backbones.relation import relation_encoder
from zoo.backbones.resnet12 import resnet12

BACKBONES = {
    "conv4": conv4,
    "strided_conv4": strided_conv4,
    "conv5": conv5,
    "koch": koch,
    "mlp": mlp,
    "pixels": pixels,
    "pixels_and_conv4": pixels_and_conv4,
    "relation_encoder": relation_encoder,
    "resnet12": resnet12,
    "keras_application": keras_application,
}


def build(name, /, **options):
    """The backbone of that name as a keras.Model. Raises ValueError for an unknown name, and for options that it does not take."""
    if name not in BACKBONES:
        raise ValueError(f"Unknown backbone: expected one of {sorted(BACKBONES)}. Received: {name!r}")
    known = inspect.signature(BACKBONES[name]).parameters
    unknown = sorted(set(options) - set(known))
    missing = sorted(
        option for option in known if known[option].default is inspect.Parameter.empty and option not in options
    )
    if unknown or missing:
        received = " and ".join(filter(None, [f"{unknown}" if unknown else "", f"no {missing[0]}" if missing else ""]))
        raise ValueError(f"Options of the backbone {name!r} must be among {sorted(known)}. Received: {received}")
    return BACKBONES[name](**options)
