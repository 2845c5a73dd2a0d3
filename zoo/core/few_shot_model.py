"""The contract that every method of the zoo keeps."""

import keras
import tensorflow as tf

from zoo.core import episode
from zoo.core.batch_norm import BatchNorm
from zoo.core.metrics import EpisodeMean


class FewShotModel(keras.Model):
    """A Keras model that adapts to a task from its support set and then answers its queries.

    A method gives `adapt` and `predict_with`; both are pure: the task state is returned, never stored on the model.
    `fit`, `evaluate`, `predict`, the trainers and the served signatures all go through these two.

    Args:
        backbone: keras.Model from images (or other inputs) [B, *input_shape] to embeddings [B, D].
        way: classes per task that the model answers for, or None where the method takes any number from the labels.
        target_size: size D of the float targets of a regression model; None for classification.
    """

    # Whether adapted models may be asked about another number of classes than they were trained with.
    supports_variable_way = False
    # Whether the backbone alone gives embeddings that mean something without a task: the metric-based methods.
    has_embedding = False
    # Whether a task state holds each class by itself, so that classes can be added and removed: "by_class" (every entry has
    # one element per class), "by_row" (one per support row, with `labels` [T, S, way] beside `class_counts`), or None.
    classes_in_state = None
    # Whether training is mostly small operations: one thread for each, several of them side by side, is then faster than
    # several threads for each. Trainers set TensorFlow's threads from it.
    one_thread_per_op = False

    def __init__(self, backbone, way=None, target_size=None, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(backbone, keras.Model):
            raise ValueError(f"`backbone` must be a keras.Model. Received: {backbone!r}")
        if way is not None and (not isinstance(way, int) or way < 2):
            raise ValueError(f"`way` must be an int of at least 2, or None. Received: way={way!r}")
        self.backbone = backbone
        self.way = way
        self.target_size = target_size
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.episode_metric = EpisodeMean(name="accuracy" if target_size is None else "mean_squared_error")
        self.additional_metrics = []  # EpisodeMeans of a method's own, see `answer_in_evaluation`
        self.supports_jit = False  # padding gives shapes that XLA cannot compile, and XLA drops the checks of labels
        self.built = True

    # ---- what a method gives

    def adapt(self, support_x, support_y, training=False):
        """Adapts to tasks.

        Args:
            support_x: float32 [T, S, *input_shape].
            support_y: int64 [T, S], -1 for padding (regression: float32 [T, S, target_size]).
            training: whether the result is trained through; inference when False.

        Returns:
            The task state: a flat dict of named tensors, each with T leading.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `adapt`.")

    def predict_with(self, task_state, query_x, training=False):
        """Answers queries float32 [T, Q, *input_shape] with an adapted state: logits [T, Q, way]."""
        raise NotImplementedError(f"{type(self).__name__} must define `predict_with`.")

    def task_objective(self, y, outputs):
        """What training minimizes: the one place to give a method another objective, whatever its base class.

        The loss of `test_step`, unless the paper trains on another. The task axis T may be missing: methods that map over
        tasks call it for one task.

        Args:
            y: query labels int64 [T, Q], -1 for padding (regression: float [T, Q, target_size]), or what the method trains on
                in their place: see `training_outputs` of `EmbeddingModel`. Reptile's inner steps give it support rows.
            outputs: query logits [T, Q, way], or what the method gives in their place.

        Returns:
            float [T], the loss of each task; their mean is minimized.
        """
        return self.task_loss(y, outputs)

    def compute_gradients(self, x, y):
        """(mean of `task_objective`, query logits, its gradients by `trainable_variables`) of a batch of tasks."""
        raise NotImplementedError(f"{type(self).__name__} must define `compute_gradients`.")

    # ---- what follows from it

    @property
    def batch_norm_mode(self):
        """How BatchNorm, the zoo's or Keras', behaves at inference: "transductive" (statistics of the batch), "running" or "none"."""
        norms = [
            layer for layer in self._flatten_layers() if isinstance(layer, (BatchNorm, keras.layers.BatchNormalization))
        ]
        statistics = {getattr(layer, "statistics", "running") for layer in norms}  # Keras' layer has averages
        return "transductive" if "batch" in statistics else "running" if statistics else "none"

    @property
    def transductive(self):
        """Whether the answer to one query depends on the other queries asked with it."""
        return self.batch_norm_mode == "transductive"

    @property
    def input_shape(self):
        """Shape of one input, without tasks and rows."""
        return tuple(self.backbone.input_shape[1:])

    def task_loss(self, y, outputs):
        """One loss per task: cross-entropy in nats, or mean squared error: [T]."""
        if self.target_size is None:
            return episode.cross_entropy(y, outputs)
        return episode.mean_squared_error(y, outputs)

    def task_metric(self, y, outputs):
        """One figure per task: accuracy, or mean squared error: [T]."""
        if self.target_size is None:
            return episode.accuracy(y, outputs)
        return episode.mean_squared_error(y, outputs)

    def call(self, inputs, training=False):
        """Logits [T, Q, way] for an episode's inputs, the dict of the wire format."""
        self.check_inputs(inputs)
        return self.answer(inputs["support_x"], inputs["support_y"], inputs["query_x"], training=training)

    def answer(self, support_x, support_y, query_x, training=False):
        """`adapt` and `predict_with` in one: logits [T, Q, way]."""
        return self.predict_with(self.adapt(support_x, support_y, training), query_x, training)

    def train_step(self, data):
        x, y = self._checked(data)
        with tf.control_dependencies(self.label_assertions(x, y)):
            loss, outputs, gradients = self.compute_gradients(x, y)
        # `apply` sums over replicas; the loss of a replica is the mean over its own tasks.
        num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
        gradients = [gradient / num_replicas for gradient in gradients] if num_replicas > 1 else gradients
        self.optimizer.apply(gradients, self.trainable_variables)
        return self._update_metrics(loss, y, outputs)

    def test_step(self, data):
        x, y = self._checked(data)
        outputs = self.answer_in_evaluation(x, y)
        return self._update_metrics(tf.reduce_mean(self.task_loss(y, outputs)), y, outputs)

    @property
    def metrics(self):
        return [self.loss_tracker, self.episode_metric, *self.additional_metrics]

    def answer_in_evaluation(self, x, y):
        """`call`, in `test_step`: a method with `additional_metrics` updates them here, and in its training objective."""
        return self(x, training=False)

    def _update_metrics(self, loss, y, outputs):
        self.loss_tracker.update_state(loss, sample_weight=tf.cast(tf.shape(outputs)[0], loss.dtype))
        self.episode_metric.update_state(self.task_metric(y, outputs))
        return self.get_metrics_result()

    def _checked(self, data):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        if y is None:
            raise ValueError("Training and evaluation need query labels: data must be (x, y). Received: x alone")
        self.check_inputs(x)
        episode.check_targets("y", y, x["query_x"], self.way, self.target_size)
        if self.target_size is None:
            with tf.control_dependencies([episode.answerable_assertion(x["support_y"], y, self.way)]):
                y = tf.identity(y)
        if self.transductive and self.target_size is None:
            message = "Padded queries (label -1) would change the answers of a transductive model: `y` must have none."
            with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(y >= 0), [message])]):
                y = tf.identity(y)
        return x, y

    def label_assertions(self, x, y):
        """Ops that fail a training step with a clear message where labels are out of range."""
        if self.target_size is not None or self.way is None:
            return []
        labels = (("support_y", x["support_y"]), ("y", y))
        return [episode.label_range_assertion(name, values, self.way) for name, values in labels]

    def check_inputs(self, inputs):
        """Raises ValueError where the inputs of an episode lack a key, or have a wrong rank, shape, dtype or label."""
        missing = [key for key in episode.KEYS if key not in inputs]
        if missing:
            raise ValueError(f"Inputs must have the keys {list(episode.KEYS)}. Received: {sorted(inputs)}")
        self.check_support(inputs["support_x"], inputs["support_y"])
        episode.check_images("query_x", inputs["query_x"], self.input_shape)

    def check_support(self, support_x, support_y):
        """Raises ValueError where a support set has a wrong rank, shape, dtype or (eagerly) label."""
        episode.check_images("support_x", support_x, self.input_shape)
        episode.check_targets("support_y", support_y, support_x, self.way, self.target_size)

    # ---- Keras

    def get_config(self):
        config = {"name": self.name, "backbone": keras.saving.serialize_keras_object(self.backbone), "way": self.way}
        return config if self.target_size is None else {**config, "target_size": self.target_size}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["backbone"] = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(**config)


def flatten_tasks(images):
    """[T, rows, ...] -> [T * rows, ...], to embed all tasks in one forward pass."""
    return tf.reshape(images, [-1, *images.shape[2:]])


def unflatten_tasks(embeddings, images):
    """[T * rows, ...] -> [T, rows, ...], with T and rows of `images`."""
    num_tasks, num_rows = tf.unstack(tf.shape(images)[:2])
    return tf.reshape(embeddings, [num_tasks, num_rows, *embeddings.shape[1:]])
