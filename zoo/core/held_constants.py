"""Layers of Keras that compute with copies of their weights."""

import keras


def renew_constants(model):
    """Makes the layers of a model compute with the weights that they have now, where these were assigned.

    keras.layers.Normalization, which EfficientNet has within, copies its mean and variance into constants when it adapts or is
    loaded from a file, and does not see an assignment: a copy would standardize by 0 and 1.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
