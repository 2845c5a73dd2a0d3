"""A trained model with the way that it is to be served with, and whether it takes ink for 1."""

from zoo import datasets
from zoo.presets import from_preset, preset_metadata, untrained


def load_with_way(source, way=None, **overrides):
    """The model with a fixed way and `overrides`. Raises ValueError where its method cannot serve that way."""
    model = untrained(source, **overrides)  # says what the method can; the weights are read once, below
    if model.supports_variable_way:
        return from_preset(source, way=way or 5, **overrides)
    if way is not None and model.way is None:
        raise ValueError(f"`--way` must be left out: this {type(model).__name__} is for regression. Received: {way}")
    if way not in (None, model.way):
        raise ValueError(
            f"`--way` must be {model.way}, the way that this {type(model).__name__} was trained with. Received: {way}"
        )
    return from_preset(source, **overrides)


def load_for_classes(source, num_classes):
    """The model for that many classes where its method allows, else with the way that it was trained with."""
    variable = untrained(source).supports_variable_way
    return load_with_way(source, max(2, num_classes) if variable else None)


def dataset_of(metadata):
    """The data set that a preset's metadata name: a dict with `name` and `options`, empty where they name none."""
    config = metadata.get("config")
    dataset = config.get("dataset") if isinstance(config, dict) else None
    return dataset if isinstance(dataset, dict) else {}


def is_ink(source):
    """Whether a model was trained on ink as 1, so that image files of dark ink on light paper must be inverted.

    The preset says it; for a run that was trained before runs recorded it, its data set does.

    Raises:
        ValueError: where neither does.
    """
    metadata = preset_metadata(source)
    if isinstance(metadata.get("ink"), bool):
        return metadata["ink"]
    dataset = dataset_of(metadata)
    try:
        return datasets.is_ink(dataset.get("name"), dataset.get("options", {}))
    except (ValueError, TypeError, AttributeError) as error:  # also where the two are no name and no dict
        raise ValueError(
            f'{source}: model.json must say in its metadata whether the model was trained on ink as 1, "ink": true or false. '
            f"Received: ink={metadata.get('ink')!r} and data set {dataset.get('name')!r}"
        ) from error
