"""Backbones: plain functional builders, inputs to embeddings."""

from zoo.backbones.conv4 import conv4, strided_conv4
from zoo.backbones.mlp import mlp

BACKBONES = {"conv4": conv4, "strided_conv4": strided_conv4, "mlp": mlp}


def build(name, **options):
    """The backbone of that name as a keras.Model. Raises ValueError for an unknown name."""
    if name not in BACKBONES:
        raise ValueError(f"Unknown backbone: expected one of {sorted(BACKBONES)}. Received: {name!r}")
    return BACKBONES[name](**options)
