"""Meta-SGD."""

import keras

from zoo.core import arguments
from zoo.core.unique_names import unique_names
from zoo.optimization_based.maml import MAML


@keras.saving.register_keras_serializable("metazoa")
class MetaSGD(MAML):
    """Meta-SGD: MAML that learns a step size for every single weight.

    Li, Zhou, Chen, Li: Meta-SGD: Learning to Learn Quickly for Few-Shot Learning, 2017, https://arxiv.org/abs/1707.09835,
    equations 2 to 4:

        theta' = theta - alpha o grad L_support(theta)
        (theta, alpha) <- (theta, alpha) - outer step along  grad_(theta, alpha)  mean over tasks of L_query(theta')

    alpha has the shape of theta, and its signs are free: it learns a direction as well as a rate.

    Task state: as in `MAML`. Transductive or not: as `MAML`.
    Differs from the paper: alpha multiplies the gradient of the mean loss (see `MAML`); one step is the default, as in the
    paper, but more can be asked for, with the same alpha in each.

    Args:
        backbone, way, target_size, num_inner_steps_test, adapt_norm, head_initializer, padded_support, query_statistics,
            first_order, inner_optimizer: as in `MAML`.
        num_inner_steps: 1 in the paper.
        inner_learning_rate: the start of alpha: a number, or (low, high) to draw every element uniformly from, as the
            paper does.
        rates_of: which weights have an alpha: their numbers among those that the inner loop changes where no layer is frozen. None:
            those that it changes when the model is made. What is frozen later keeps its own, and the config says so.

    Raises:
        ValueError: as `MAML`, for `rates_of` that are no numbers of weights, and for a weight that adapts and has none, since its layer was frozen
            when the model was made.

    Example:

    >>> import zoo
    >>> model = zoo.MetaSGD(zoo.backbones.strided_conv4(), way=5, inner_learning_rate=(0.5, 2.0))
    """

    fewest_inner_steps = 1  # without a step alpha has no gradient

    def __init__(self, backbone, num_inner_steps=1, inner_learning_rate=(0.005, 0.1), rates_of=None, **kwargs):
        super().__init__(backbone, num_inner_steps=num_inner_steps, inner_learning_rate=inner_learning_rate, **kwargs)
        rate = self.inner_learning_rate
        low, high = rate if isinstance(rate, tuple) else (rate, rate)
        variables = self._with_rates(rates_of)
        names = unique_names(["alpha_" + self.name_of(variable).replace("/", "_") for variable in variables])
        self._alpha = {}
        for variable, name in zip(variables, names):
            draw = keras.initializers.RandomUniform(low, high)  # one for all would repeat its draws
            self._alpha[self.name_of(variable)] = self.add_weight(name=name, shape=variable.shape, initializer=draw)

    def checked_rate(self, value):
        if isinstance(value, (list, tuple)):
            return arguments.interval("inner_learning_rate", value)
        return arguments.number("inner_learning_rate", value)

    def _with_rates(self, rates_of):
        """The variables that get an alpha."""
        if rates_of is None:
            return self.fast_variables()
        known = self.adaptable_variables()
        if not isinstance(rates_of, (list, tuple)) or not set(rates_of) <= set(range(len(known))):
            raise ValueError(
                f"`rates_of` must be a list of numbers of weights, from 0 to {len(known) - 1}. Received: rates_of={rates_of!r}"
            )
        return [known[number] for number in rates_of]

    def step_size(self, name, step):
        if name not in self._alpha:
            raise ValueError(
                f"The weights that adapt must be among those with an alpha, {list(self._alpha)}: make the model anew after a layer "
                f"has become trainable. Received: {name}"
            )
        return self._alpha[name]

    def get_config(self):
        config, names = super().get_config(), [self.name_of(variable) for variable in self.adaptable_variables()]
        if list(self._alpha) == [self.name_of(variable) for variable in self.fast_variables()]:
            return config
        return {**config, "rates_of": [names.index(name) for name in self._alpha]}
