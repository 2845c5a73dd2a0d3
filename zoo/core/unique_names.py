"""Names that no two variables share."""


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


class VariableNames:
    """The name of each variable: its path, unless another one has the same.

    Args:
        variables: list of Keras variables.
        taken: names that none of them may have.

    Raises:
        ValueError: when called with another variable.
    """

    def __init__(self, variables, taken=()):
        names = unique_names([variable.path for variable in variables], taken)
        self._variables = list(variables)  # or another one might come to have the id of one that is no more
        self._names = {id(variable): name for variable, name in zip(variables, names)}

    def __call__(self, variable):
        if id(variable) not in self._names:
            raise ValueError(
                "The weights must be those that the network had when the model was made: `quantize` and `enable_lora` come "
                f"before. Received: {variable.path}, made later"
            )
        return self._names[id(variable)]
