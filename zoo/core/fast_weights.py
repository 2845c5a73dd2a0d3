"""Methods whose adapted model is the network itself under other weights."""

import contextlib

import keras
import tensorflow as tf

from zoo.core import arguments, episode, gradients
from zoo.core.batch_norm import BatchNorm, given_statistics, recorded_statistics, weighted_rows
from zoo.core.convolution import batch_convolutions
from zoo.core.inner_loop_layers import refuse_constraints, refuse_moving_state, refuse_repeated_norms
from zoo.core.random_masks import SeedStates, drawn_at
from zoo.core.replace_normalization import keras_normalizations
from zoo.core.row_order import class_balanced_order
from zoo.core.taskwise import TaskwiseModel, usable_support
from zoo.core.unique_names import VariableNames, lasting_paths, unique_names

# Entries of a task state that are no variables.
_RECORDS = ("class_counts", "support_x", "support_usable")


class FastWeightsModel(TaskwiseModel):
    """A backbone with a dense layer on top, whose weights are an argument: the task state is the fast weights.

    Nothing is assigned to a layer. `forward` runs the network functionally, under the weights of a task. Random layers draw
    new numbers for each training step, task and inner step, and none at inference. Layers that are not trainable keep their
    weights, and their BatchNorm its averages.

    Args:
        backbone: keras.Model, inputs [B, *input_shape] -> features [B, D]. The dense layer is added here.
        way: classes per task. Give this or `target_size`.
        target_size: size of the float targets for regression.
        head_initializer: Keras initializer of the dense layer's kernel, as a name or its config.

    Raises:
        ValueError: unless exactly one of `way` and `target_size` is given, and for a backbone whose BatchNorm keeps
            averages that this method does not, or that has Keras' normalization layers, see `zoo.replace_normalization`;
            for layers with other state that training moves (SpectralNormalization), or with constraints on weights that the
            inner loop changes.
    """

    # Whether the method keeps moving averages of BatchNorm for each task; on the layers they would never be updated.
    keeps_moving_averages = False
    supports_regression = True
    supports_mixed_precision = True

    def __init__(self, backbone, way=None, target_size=None, head_initializer="glorot_uniform", **kwargs):
        if (way is None) == (target_size is None):
            raise ValueError(f"Give either `way` or `target_size`. Received: way={way}, target_size={target_size}")
        super().__init__(backbone, way=way, target_size=target_size, **kwargs)
        self.head_initializer = arguments.initializer("head_initializer", head_initializer)
        inputs_name, head_name = unique_names(["inputs", "head"], taken=[backbone.name])
        head = keras.layers.Dense(
            way or target_size, kernel_initializer=self.head_initializer, name=head_name, dtype=self.variable_dtype
        )
        inputs = keras.Input(self.input_shape, name=inputs_name)
        features = backbone(inputs)  # a list of one where the network was made with one
        self.network = keras.Model(
            inputs, head(*features if isinstance(features, list) else [features]), name="network"
        )
        batch_convolutions(self.network)
        self.name_of = VariableNames(self.network, taken=_RECORDS)
        self._seeds = SeedStates(self.network)
        self._check_layers()
        handled = [v for layer in self._norm_layers() for v in layer.variables]
        refuse_moving_state(type(self).__name__, self.network, [*handled, *self._seeds.variables])

    def _check_layers(self):
        self._check_normalization()
        refuse_constraints(type(self).__name__, self.adapted_part())

    def _check_normalization(self):
        wanted = "running" if self.keeps_moving_averages else "batch"
        for layer in keras_normalizations(self.network):
            raise ValueError(
                f"{type(self).__name__} adapts by gradients, and through Keras' {type(layer).__name__} these go wrong. "
                f"Give it zoo.replace_normalization(backbone, statistics={wanted!r}). Received: layer {layer.name}"
            )
        wrong = [layer for layer in self._norm_layers() if layer.statistics != wanted and not layer.is_frozen]
        if wrong:
            raise ValueError(
                f"{type(self).__name__} needs a backbone whose BatchNorm has statistics={wanted!r}, or 'frozen'. "
                f"Received: {wrong[0].name} with {wrong[0].statistics!r}"
            )

    def _norm_layers(self):
        return [layer for layer in self.network._flatten_layers() if isinstance(layer, BatchNorm)]

    def head_layer(self):
        """The dense layer on top of the backbone. No attribute: Keras would save it under that name."""
        return self.network.layers[-1]

    # ---- what a query is normalized by

    @property
    def keeps_support_statistics(self):
        """Whether the task state holds the statistics of the support set, which the queries are normalized by."""
        return self.batch_norm_mode == "support"

    def check_statistics_to_keep(self):
        """Raises ValueError where the statistics of the support set are to be kept, and a BatchNorm has several of them."""
        if self.keeps_support_statistics:
            refuse_repeated_norms(type(self).__name__, self.network)

    def _statistics_names(self):
        """(layer, names of its mean and variance in the task state) of every BatchNorm that has no averages."""
        layers = [layer for layer in self._norm_layers() if layer.statistics == "batch"]
        known = lasting_paths(self.network)
        paths = unique_names([known.get(id(layer), layer.path) for layer in layers])
        return [
            (layer, [f"{path}/support_{name}" for name in ("mean", "variance")]) for layer, path in zip(layers, paths)
        ]

    def named_statistics(self, recorded):
        """Recorded statistics as entries of the task state."""
        return {name: value for layer, names in self._statistics_names() for name, value in zip(names, recorded[layer])}

    def support_statistics(self, theta, x, weights, training=False):
        """Mean and variance that each BatchNorm finds in support rows [S, ...] under `theta`, as entries of the task state."""
        if not self.keeps_support_statistics:
            return {}
        with recorded_statistics() as recorded, weighted_rows(weights), drawn_at(-1):
            self.forward(theta, x, training)
        return self.named_statistics(recorded)

    def as_support(self, task_state):
        """Context in which the network normalizes as it did the support set, where the state says how."""
        if not self.keeps_support_statistics:
            return contextlib.nullcontext()
        return given_statistics({layer: [task_state[n] for n in names] for layer, names in self._statistics_names()})

    # ---- the weights that adapt

    def adapted_part(self):
        """The part of the network whose weights the inner loop changes: the network, or a layer of it."""
        return self.network

    def fast_variables(self):
        """The variables that the inner loop changes, in the network's order: all of its part unless overridden."""
        return self.adapted_part().trainable_variables

    def adaptable_variables(self):
        """`fast_variables` as they are where no layer is frozen: what a method keeps for each of them has a layout that lasts."""
        part = self.adapted_part()
        weights = {id(variable) for layer in part._flatten_layers() for variable in layer._trainable_variables}
        return [variable for variable in part.variables if id(variable) in weights]

    def initial_weights(self):
        """theta_0: the meta-learned start, by the name of each variable, see `VariableNames`."""
        self._check_layers()  # one may have become trainable
        return {self.name_of(variable): tf.convert_to_tensor(variable) for variable in self.fast_variables()}

    def forward(self, theta, x, training=False):
        """The network's outputs [rows, way] with `theta` in place of the adapted variables."""
        return self.call_network(self.network, theta, x, training)[0]

    def call_network(self, network, values, x, training):
        """A part of the network with `values`, by name, in place of its variables: (outputs, new values of the others)."""
        weights = [values.get(self.name_of(v), v) for v in network.trainable_variables]
        others = network.non_trainable_variables
        states = self._seeds.values(others) if training else others
        states = [values.get(self.name_of(v), state) for v, state in zip(others, states)]
        outputs, states = network.stateless_call(weights, states, x, training=training)
        return tf.cast(outputs, self.compute_dtype), states

    @property
    def inner_loss_scale(self):
        """What the inner loop multiplies the loss by on the way back, see `zoo.core.gradients`."""
        return gradients.inner_loss_scale(self.network)

    def network_outputs(self, theta, x, training=False):
        """`forward` on inputs [rows, *input_shape], also where a method's inner loop runs `forward` on something else."""
        return self.forward(theta, x, training)

    def support_loss(self, y, outputs, weights):
        """Mean loss over the support rows of one task, weighted by `weights` [rows]; 0 where all of them are 0."""
        if self.target_size is not None:
            return episode.mean_squared_error(y, outputs)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=outputs)
        return tf.reduce_sum(losses * weights) / tf.maximum(tf.reduce_sum(weights), 1)

    def weighted_support(self, support_x, support_y, may_be_padded=True):
        """The support rows of one task and their weights; `may_be_padded` takes the padded ones out."""
        if self.target_size is not None or not may_be_padded:
            return support_x, support_y, tf.ones(tf.shape(support_y)[:1], support_x.dtype)
        return usable_support(support_x, support_y, episode.usable_rows(support_y, self.way))

    def ordered_support(self, support_x, support_y, training):
        """`weighted_support` in the order that minibatches are taken in.

        In training that of the rows, which samplers shuffle. At inference clients send them class by class, or in any order:
        there it follows from what the rows hold, classes in turn.
        """
        x, y, weights = self.weighted_support(support_x, support_y)
        if training:
            return x, y, weights
        if self.target_size is None:
            order = class_balanced_order(x, y, weights)
        else:
            order = class_balanced_order(tf.concat([tf.reshape(x, [tf.shape(y)[0], -1]), y], axis=-1))
        return tf.gather(x, order), tf.gather(y, order), tf.gather(weights, order)

    # ---- the contract

    def with_class_counts(self, state, support_y):
        """The state with `class_counts` [way] for classification."""
        if self.target_size is not None:
            return state
        return {**state, "class_counts": episode.class_counts(support_y, self.way, self.compute_dtype)}

    def masked(self, outputs, task_state):
        """Outputs [Q, way] of one task, without the classes that had no support."""
        if self.target_size is not None:
            return outputs
        return episode.mask_absent_classes(outputs[None], task_state["class_counts"][None])[0]

    def predict_task(self, task_state, query_x, training=False):
        with self.as_support(task_state):
            outputs = self.network_outputs(task_state, query_x, training)
        return self.masked(outputs, task_state)

    def compute_gradients(self, x, y, scale_loss=tf.identity):
        results = super().compute_gradients(x, y, scale_loss)
        self._seeds.advance()
        return results

    def state_signature(self):
        signature = {self.name_of(v): tf.TensorSpec(v.shape, self.compute_dtype) for v in self.fast_variables()}
        if self.keeps_support_statistics:
            for layer, names in self._statistics_names():
                signature.update({name: tf.TensorSpec(layer.channels, self.compute_dtype) for name in names})
        if self.target_size is None:
            signature["class_counts"] = tf.TensorSpec([self.way], self.compute_dtype)
        return signature

    def get_config(self):
        return {**super().get_config(), "head_initializer": keras.initializers.serialize(self.head_initializer)}
