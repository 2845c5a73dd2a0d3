"""Which layers that a method has beside its backbone are frozen: a part of its config, as the backbone's are of the backbone's."""

from zoo.core.unique_names import unique_names

CONFIG_KEY = "frozen_layers"
_MODEL = "."  # weights that no layer holds


def frozen_layers(model):
    """Paths of the layers with weights, beside those of the backbone, that are not trainable."""
    return [path for path, layer in _own_layers(model).items() if not layer.trainable]


def freeze_layers(model, paths):
    """Makes the layers of these paths not trainable, and the others that `frozen_layers` would list trainable."""
    for path, layer in _own_layers(model).items():
        if layer.trainable != (path not in paths):
            layer.trainable = path not in paths


def _own_layers(model):
    """{path: layer} of the model itself and of the layers with weights beside the backbone's; holders before what they hold."""
    seen, found = {id(layer) for layer in model.backbone._flatten_layers()}, []

    def visit(layer, path):
        seen.add(id(layer))
        if layer._trainable_variables or layer._non_trainable_variables:
            found.append((path, layer))
        for part in layer._layers:
            if id(part) not in seen:
                visit(part, part.name if layer is model else f"{path}/{part.name}")

    visit(model, _MODEL)
    return dict(zip(unique_names([path for path, _ in found]), (layer for _, layer in found)))
