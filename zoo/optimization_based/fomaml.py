"""First-order MAML."""

import keras

from zoo.optimization_based.maml import MAML


@keras.saving.register_keras_serializable("metazoa")
class FOMAML(MAML):
    """First-order MAML: the outer gradient is the query gradient at the adapted weights.

    Finn, Abbeel, Levine: Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks, ICML 2017,
    https://arxiv.org/abs/1703.03400, section 5.2:

        theta_k as in MAML,    theta <- theta - outer step along  grad L_query at theta_k

    which takes d theta_k / d theta for the identity: the gradients of the inner steps are constants.

    Task state, arguments, errors and transductive or not: as in `MAML`.
    Differs from the paper: as `MAML` does.

    Example:

    >>> import zoo
    >>> model = zoo.FOMAML(zoo.backbones.strided_conv4(), way=5, num_inner_steps=1, inner_learning_rate=2.0)
    """

    first_order = True
