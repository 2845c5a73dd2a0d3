"""A trained model as it is to be served."""

from zoo.presets import from_preset

# Data sets whose images are ink on paper, with ink 1: files of dark ink must be inverted for them.
INK_DATASETS = ("omniglot", "glyphs")


def chosen_source(workdir, preset):
    """The one of the two that is given. Raises ValueError for both or neither."""
    if (workdir is None) == (preset is None):
        raise ValueError(f"Give either --workdir or --preset. Received: --workdir={workdir}, --preset={preset}")
    return workdir or preset


def load_with_way(source, way=None, **overrides):
    """The model with a fixed way and `overrides`. Raises ValueError where its method cannot serve that way."""
    model = from_preset(source, **overrides)
    if model.supports_variable_way:
        return from_preset(source, way=way or 5, **overrides)
    if way is not None and model.way is None:
        raise ValueError(f"`--way` must be left out: this {type(model).__name__} is for regression. Received: {way}")
    if way not in (None, model.way):
        raise ValueError(
            f"`--way` must be {model.way}, the way that this {type(model).__name__} was trained with. Received: {way}"
        )
    return model


def is_ink(dataset):
    """Whether a model was trained on ink as 1, so that image files of dark ink on light paper must be inverted."""
    return dataset["name"] in INK_DATASETS or bool(dataset["options"].get("invert"))
