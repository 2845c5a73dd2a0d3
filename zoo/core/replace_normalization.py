"""Keras' normalization layers in a network, and the zoo's in their place."""

import contextlib

import keras

from zoo.core.batch_norm import STATISTICS, BatchNorm
from zoo.core.held_constants import renew_constants
from zoo.core.normalization import GroupNorm, LayerNorm

KERAS_NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
)
# What Keras' layers can do and the zoo's cannot.
_REFUSED_OPTIONS = (
    "beta_regularizer",
    "gamma_regularizer",
    "beta_constraint",
    "gamma_constraint",
    "renorm",
    "synchronized",
    "rms_scaling",
)


def keras_normalizations(model):
    """Keras' Batch-, Layer- and GroupNormalization layers of a model, nested ones too."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, KERAS_NORMALIZATIONS)]


def replace_normalization(backbone, statistics):
    """A copy of a network, with the zoo's normalization layers in place of Keras'.

    The second derivative of Keras' Batch-, Layer- and GroupNormalization is wrong, and methods that adapt by gradients do
    not move the averages of a Keras layer. The copy has the same names and weights, moving averages included, and gives
    the same answers. `BatchNorm` moves its average towards the unbiased variance of a batch, Keras' towards the biased one.

    Args:
        backbone: keras.Model, functional or Sequential, and built; models inside of it are copied likewise.
        statistics: of the `zoo.BatchNorm` layers. "batch" for `zoo.MAML` and its variants and for `zoo.Reptile`: the moving
            averages are left out. "running" for `zoo.LSTMMetaLearner` and the metric-based methods. Layers that are not
            trainable normalize by their averages always, as in Keras: they get "running".

    Returns:
        keras.Model of other layers: training it leaves `backbone` as it is.

    Raises:
        ValueError: for unknown `statistics`; a model that is subclassed, whose class has its own `call`, or that is not built; a layer with an option that the zoo's
            does not have (an axis that is not the last one, a regularizer, a constraint, renorm, synchronized); a subclass of
            Keras' normalization layers; a normalization layer inside of another layer, where it cannot be replaced.

    Example:

    >>> import keras, zoo
    >>> resnet = keras.applications.ResNet50(include_top=False, pooling="avg", input_shape=(84, 84, 3), weights=None)
    >>> model = zoo.MAML(zoo.replace_normalization(resnet, statistics="batch"), way=5)
    """
    if statistics not in STATISTICS:
        raise ValueError(f"`statistics` must be one of {STATISTICS}. Received: statistics={statistics!r}")
    if not _is_of_layers(backbone) or not backbone.built:
        raise ValueError(
            f"`backbone` must be a functional or Sequential keras.Model that is built. Received: {backbone!r}"
        )
    _refuse_own_calls(backbone)
    pairs = []

    def copied(layer):
        new = _replaced(layer, statistics) or _copy_of(layer)
        if isinstance(layer, keras.layers.Layer):
            pairs.append((layer, new))
        return new

    options = {} if isinstance(backbone, keras.Sequential) else {"call_function": _call_without_mask}
    with _not_compiled(backbone):
        copy = keras.models.clone_model(backbone, clone_function=copied, recursive=True, **options)
    for hidden in keras_normalizations(copy):
        raise ValueError(f"A normalization layer inside of another layer cannot be replaced. Received: {hidden.path}")
    for layer, new in pairs:
        _copy_weights(layer, new)
    renew_constants(copy)
    if not backbone.trainable:
        copy.trainable = False
    return copy


def _copy_of(layer):
    try:
        return type(layer).from_config(layer.get_config())
    except TypeError as error:
        raise ValueError(
            "A layer is copied by its config: its class must take the arguments that its `get_config` gives, `name` too. "
            f"Received: layer {layer.name} of class {type(layer).__name__}"
        ) from error


def _is_of_layers(model):
    """Whether a layer is a functional or Sequential model, which Keras copies layer by layer."""
    return isinstance(model, keras.Sequential) or hasattr(model, "operations")


def _refuse_own_calls(backbone):
    """Raises ValueError for a functional or Sequential model whose class has a `call` of its own, which the copy would not have."""
    for model in backbone._flatten_layers():
        if _is_of_layers(model):
            cls = next(cls for cls in type(model).__mro__ if "call" in vars(cls))
            if not cls.__module__.startswith("keras."):
                raise ValueError(
                    "A model whose class has a `call` of its own cannot be copied: its code is not known. "
                    f"Received: {model.name} of class {type(model).__name__}"
                )


@contextlib.contextmanager
def _not_compiled(backbone):
    """Context in which a network looks as if never compiled: Keras gives its clones an optimizer, and looks for their loss by name."""
    compiled = [layer for layer in backbone._flatten_layers() if getattr(layer, "compiled", False)]
    for model in compiled:
        model.compiled = False
    try:
        yield
    finally:
        for model in compiled:
            model.compiled = True


def _replaced(layer, statistics):
    """The zoo's layer for one of Keras', without its weights; None for any other layer."""
    if not isinstance(layer, KERAS_NORMALIZATIONS):
        return None
    if type(layer) not in KERAS_NORMALIZATIONS:
        raise ValueError(
            f"A subclass of Keras' normalization layers may do something else, and cannot be replaced. Received: layer {layer.name} "
            f"of class {type(layer).__name__}"
        )
    config = layer.get_config()
    refused = [option for option in _REFUSED_OPTIONS if config.get(option)]
    if refused:
        raise ValueError(f"The zoo's normalization layers have no `{refused[0]}`. Received: layer {layer.name} with it")
    shared = {name: config[name] for name in ("name", "dtype", "trainable", "epsilon", "center", "scale")}
    if isinstance(layer, keras.layers.LayerNormalization):
        return LayerNorm(layer.axis, **shared)
    if layer.axis not in (-1, layer.input_spec.ndim - 1):
        raise ValueError(f"Normalized channels must be the last axis. Received: layer {layer.name}, axis={layer.axis}")
    if isinstance(layer, keras.layers.GroupNormalization):
        return GroupNorm(layer.groups, **shared)
    return BatchNorm(statistics if layer.trainable else "running", layer.momentum, **shared)


def _call_without_mask(layer, *args, **kwargs):
    if isinstance(layer, (BatchNorm, LayerNorm, GroupNorm)) and kwargs.pop("mask", None) is not None:
        raise ValueError(f"The zoo's normalization layers take no mask. Received: layer {layer.name} with one")
    return layer(*args, **kwargs)


def _copy_weights(layer, new):
    if not isinstance(layer, keras.layers.BatchNormalization):
        for variable, value in zip(new.variables, layer.variables):  # the weights, and the seeds of random layers
            variable.assign(value)
        return
    for name in ("gamma", "beta", "moving_mean", "moving_variance"):
        if getattr(new, name, None) is not None:
            getattr(new, name).assign(getattr(layer, name))
