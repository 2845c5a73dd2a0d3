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

    Raises:
        ValueError: as `MAML`.

    Example:

    >>> import zoo
    >>> model = zoo.MetaSGD(zoo.backbones.strided_conv4(), way=5, inner_learning_rate=(0.5, 2.0))
    """

    fewest_inner_steps = 1  # without a step alpha has no gradient

    def __init__(self, backbone, num_inner_steps=1, inner_learning_rate=(0.005, 0.1), **kwargs):
        super().__init__(backbone, num_inner_steps=num_inner_steps, inner_learning_rate=inner_learning_rate, **kwargs)
        rate = self.inner_learning_rate
        low, high = rate if isinstance(rate, tuple) else (rate, rate)
        variables = self.fast_variables()
        names = unique_names(["alpha_" + self.name_of(variable).replace("/", "_") for variable in variables])
        self._alpha = {}
        for variable, name in zip(variables, names):
            draw = keras.initializers.RandomUniform(low, high)  # one for all would repeat its draws
            self._alpha[self.name_of(variable)] = self.add_weight(name=name, shape=variable.shape, initializer=draw)

    def checked_rate(self, value):
        if isinstance(value, (list, tuple)):
            return arguments.interval("inner_learning_rate", value)
        return arguments.number("inner_learning_rate", value)

    def step_size(self, name, step):
        return self._alpha[name]
