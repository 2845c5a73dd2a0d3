"""Names that no two variables share, and that a copy of their network has too."""

import keras


def unique_names(names, taken=()):
    """The names in their order, a number behind those that came before: a, b, a -> a, b, a_2.

    The path of a Keras variable is no key: two networks of one builder inside a third have the same paths.

    Args:
        names: list of str.
        taken: names that none of them may have.
    """
    known, unique = {*names, *taken}, []
    for name in names:
        number, candidate = 1, name
        while candidate in taken or candidate in unique or (number > 1 and candidate in known):
            number += 1
            candidate = f"{name}_{number}"
        unique.append(candidate)
    return unique


def lasting_paths(network):
    """{id of a layer or variable of a network: its path}, from the layer that a functional or Sequential model holds.

    Keras' own path begins with what was being built when the layer was: a Sequential that learned its input shape when another model
    called it, a wrapper. In a copy, whose layers have the shape from its config, it may not; and the layers that a layer makes for
    itself have other numbers there.
    """
    found = {}

    def visit(layer, path):
        found[id(layer)] = path
        for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
            found.setdefault(id(variable), f"{path}/{variable.name}")
        for part in layer._layers:
            if id(part) not in found:
                visit(part, f"{path}/{_without_number(part)}")

    def visit_model(model):
        for layer in model.layers:
            if isinstance(layer, keras.Model):
                visit_model(layer)
            elif id(layer) not in found:
                visit(layer, layer.name)

    visit_model(network)
    return found


def _without_number(layer):
    """The name of a layer; where Keras gave it, after the layer's class, without its number."""
    start, _, number = layer.name.rpartition("_")
    of_class = start.replace("_", "") == type(layer).__name__.lower()
    return start if of_class and number.isdecimal() else layer.name


class VariableNames:
    """The name of each variable: its path, see `lasting_paths`, unless another one has the same.

    Args:
        network: keras.Model.
        taken: names that no variable may have.

    Raises:
        ValueError: when called with another variable.
    """

    def __init__(self, network, taken=()):
        paths = lasting_paths(network)
        names = unique_names([paths.get(id(variable), variable.path) for variable in network.variables], taken)
        self._variables = network.variables  # or another one might come to have the id of one that is no more
        self._names = {id(variable): name for variable, name in zip(self._variables, names)}

    def __call__(self, variable):
        if id(variable) not in self._names:
            raise ValueError(
                "The weights must be those that the network had when the model was made: `quantize` and `enable_lora` come "
                f"before. Received: {variable.path}, made later"
            )
        return self._names[id(variable)]
