"""Backbones: plain functional builders, inputs to embeddings."""

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
    """The backbone of that name as a keras.Model. Raises ValueError for an unknown name."""
    if name not in BACKBONES:
        raise ValueError(f"Unknown backbone: expected one of {sorted(BACKBONES)}. Received: {name!r}")
    return BACKBONES[name](**options)
