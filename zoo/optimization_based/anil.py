"""ANIL: almost no inner loop."""

import keras

from zoo.core.batch_norm import recorded_statistics, weighted_rows
from zoo.core.random_masks import drawn_at
from zoo.optimization_based.maml import MAML


@keras.saving.register_keras_serializable("metazoa")
class ANIL(MAML):
    """ANIL: MAML whose inner loop changes the last layer only.

    Raghu, Raghu, Bengio, Vinyals: Rapid Learning or Feature Reuse? Towards Understanding the Effectiveness of MAML,
    ICLR 2020, https://arxiv.org/abs/1909.09157, section 4:

        theta = (body, head),    head_{j+1} = head_j - alpha grad_head L_support(body, head_j),    j = 0 .. k-1
        theta <- theta - outer step along  grad_theta  mean over tasks of L_query(body, head_k)

    The body's features of the support set are computed once, whatever k is; the outer gradient goes through all of it,
    second derivatives included.

    Task state: `head/kernel` float32 [T, D, way], `head/bias` float32 [T, way], and the statistics and `class_counts` of
    `MAML`. Arguments, errors and transductive or not: as in `MAML`; `adapt_norm` is without effect.
    Differs from the paper: nothing; alpha multiplies the gradient of the mean loss, see `MAML`.

    Example:

    >>> import zoo
    >>> model = zoo.ANIL(zoo.backbones.strided_conv4(), way=5, num_inner_steps=5, inner_learning_rate=0.5)
    """

    def adapted_part(self):
        return self.head_layer()

    def _adapted(self, x, y, weights, num_steps, training):
        with recorded_statistics() as recorded, weighted_rows(weights), drawn_at(-1):
            features = self._features(x, training)
        head = self._descend(self.initial_weights(), features, y, weights, num_steps, unroll=training)
        return {**head, **(self.named_statistics(recorded) if self.keeps_support_statistics else {})}

    def network_outputs(self, theta, x, training=False):
        return self.forward(theta, self._features(x, training), training)

    def _features(self, x, training):
        """The body's output [rows, D]."""
        return self.call_network(self.backbone, {}, x, training)[0]

    def forward(self, theta, features, training=False):
        """The head's outputs [rows, way] on features [rows, D], with `theta` in place of its weights."""
        return self.call_network(self.head_layer(), theta, features, training)[0]
