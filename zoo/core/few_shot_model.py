"""The contract that every method of the zoo keeps."""

import keras
import tensorflow as tf

from zoo.core import arguments, compiling, episode, frozen_layers, gradients, graph_errors
from zoo.core.batch_norm import BatchNorm
from zoo.core.held_constants import renew_constants
from zoo.core.metrics import EpisodeMean

# Attributes that say how pictures become inputs, see below.
_OF_PICTURES = ("ink", "image_fit")


class FewShotModel(graph_errors.ErrorsInALine, keras.Model):
    """A Keras model that adapts to a task from its support set and then answers its queries.

    A method gives `adapt` and `predict_with`; both are pure: the task state is returned, never stored on the model.
    `fit`, `evaluate`, `predict`, the trainers and the served signatures all go through these two.

    Args:
        backbone: functional or Sequential keras.Model from images (or other inputs) [B, *input_shape] to embeddings [B, D].
        way: classes per task that the model answers for, or None where the method takes any number from the labels.
        target_size: size D of the float targets of a regression model; None for classification.

    Regularizers of layers are added to the mean of `task_objective` in training; the loss that `evaluate` and validation
    report is without them. `compile` takes an optimizer and metrics, which see the
    rows with a label, [rows] and logits [rows, way]; a model compiled without an optimizer can be evaluated.
    """

    # Whether no weight depends on `way`: a trained model can be built again with another one (`from_preset(name, way=...)`).
    supports_variable_way = False
    # Whether the backbone alone gives embeddings that mean something without a task: the metric-based methods. By family: that
    # answers follow from the backbone's embeddings alone is measured, what these mean cannot be.
    has_embedding = False
    # Whether a task state holds each class by itself, so that classes can be added and removed: "by_class" (every entry has
    # one element per class), "by_row" (one per support row, with `labels` [T, S, way] beside `class_counts`), or None.
    classes_in_state = None
    # Whether training is mostly small operations: one thread for each, several of them side by side, is then faster than
    # several threads for each. Trainers set TensorFlow's threads from it. No test holds it, being a matter of time and machine:
    # benchmarks/training_step.py times both.
    one_thread_per_op = False
    # Rank of what the backbone gives: 2 for embeddings [B, D], 4 for maps [B, h, w, C].
    backbone_rank = 2
    # Whether targets may be floats.
    supports_regression = False
    # Whether the backbone may compute in half precision; the rest of the method computes in float32 then.
    supports_mixed_precision = False
    # Whether pictures are dark ink on light paper, to turn into ink 1 and paper 0; a preset says it, None is unknown.
    ink = None
    # How a picture of another aspect ratio becomes one of `input_shape`: "stretch", "crop" or "pad", see
    # `zoo.datasets.image_files.read_image`. A preset says it; `learn` and everything that is exported follow it.
    image_fit = "stretch"

    def __init__(self, backbone, way=None, target_size=None, **kwargs):
        super().__init__(**kwargs)
        self.autocast = False  # of inputs; see also `compute_dtype`
        self.backbone = arguments.backbone(backbone, self.backbone_rank)
        arguments.dtype_policies(self, self.backbone, self.supports_mixed_precision)
        self.way = None if way is None else arguments.count("way", way, at_least=2)
        self.target_size = None if target_size is None else arguments.count("target_size", target_size)
        if target_size is not None and not self.supports_regression:
            raise ValueError(
                f"`target_size` must be left out: {type(self).__name__} classifies. Received: target_size={target_size}"
            )
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.episode_metric = (
            EpisodeMean("accuracy") if target_size is None else EpisodeMean("mean_squared_error", direction="min")
        )
        self.additional_metrics = []  # EpisodeMeans of a method's own, see `answer_in_evaluation`
        self.supports_jit = False  # so that Keras' jit_compile="auto" is False: see `compiling.refuse_jit`
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

    def compute_gradients(self, x, y, scale_loss=tf.identity):
        """(mean of `task_objective`, query logits, gradients by `trainable_variables`) of a batch of tasks.

        The gradients are those of `scale_loss` of the objective, a factor that the optimizer divides by again.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `compute_gradients`.")

    # ---- what follows from it

    @property
    def compute_dtype(self):
        """That of the weights: in mixed precision layers of the backbone cast what they are given, and the rest is float32."""
        return self.variable_dtype

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
        """One result per task: accuracy, or mean squared error: [T]."""
        if self.target_size is None:
            return episode.accuracy(y, outputs)
        return episode.mean_squared_error(y, outputs)

    def call(self, inputs, training=False):
        """Logits [T, Q, way] for an episode's inputs, the dict of the wire format."""
        return self.answer(**self.checked_inputs(inputs), training=training)

    def answer(self, support_x, support_y, query_x, training=False):
        """`adapt` and `predict_with` in one: logits [T, Q, way]."""
        return self.predict_with(self.adapt(support_x, support_y, training), query_x, training)

    def train_step(self, data):
        if getattr(self, "optimizer", None) is None:
            raise ValueError("Training needs an optimizer: model.compile(optimizer=...). Received: optimizer=None")
        compiling.check_trainable(self)
        x, y = self._checked(data)
        scale_loss = gradients.shared_scale(self.optimizer)
        with tf.control_dependencies(self.label_assertions(x, y)):
            loss, outputs, slopes = self.compute_gradients(x, y, scale_loss)
        penalty, penalty_slopes = self._penalty_and_gradients(scale_loss)
        slopes = [slope + other for slope, other in zip(slopes, penalty_slopes)] if penalty_slopes else slopes
        self.optimizer.apply(gradients.whole(slopes, self.optimizer), self.trainable_variables)
        return self._update_metrics(loss + penalty, y, outputs)

    def _penalty_and_gradients(self, scale_loss):
        """The layers' regularizers, and their gradients, which are those of `scale_loss` of them; nothing where there are none."""
        penalized = compiling.regularized(self.regularized_variables())
        if not penalized:
            return 0.0, []
        with tf.GradientTape() as tape:
            penalty = tf.add_n([variable.regularizer(variable) for variable in penalized])
            scaled = scale_loss(penalty)
        return penalty, gradients.gradient(tape, scaled, self.trainable_variables)

    def regularized_variables(self):
        """Variables whose regularizers the outer step sees."""
        return self.trainable_variables

    def test_step(self, data):
        x, y = self._checked(data)
        outputs = self.answer_in_evaluation(x, y)
        return self._update_metrics(tf.reduce_mean(self.task_loss(y, outputs)), y, outputs)

    @property
    def metrics(self):
        compiled = [] if self._compile_metrics is None else [self._compile_metrics]
        return [self.loss_tracker, *self._episode_metrics, *compiled]

    @property
    def _episode_metrics(self):
        return [self.episode_metric, *self.additional_metrics]

    def answer_in_evaluation(self, x, y):
        """`call`, in `test_step`: a method with `additional_metrics` updates them here, and in its training objective."""
        return self(x, training=False)

    def _update_metrics(self, loss, y, outputs):
        self.loss_tracker.update_state(loss, sample_weight=tf.cast(tf.shape(outputs)[0], loss.dtype))
        self.episode_metric.update_state(self.task_metric(y, outputs))
        return self.compute_metrics(None, y, outputs)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Updates what `compile(metrics=...)` asked for, with the rows that have a label, and returns all results."""
        if self._compile_metrics is not None:
            rows = y >= 0 if self.target_size is None else tf.ones(tf.shape(y)[:2], tf.bool)
            self._compile_metrics.update_state(tf.boolean_mask(y, rows), tf.boolean_mask(y_pred, rows))
        return self.get_metrics_result()

    def _checked(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if y is None:
            raise ValueError("Training and evaluation need query labels: data must be (x, y). Received: x alone")
        if sample_weight is not None:
            raise ValueError(
                "`sample_weight` and `class_weight` must be left out: label -1 takes a row out of loss and metrics, and "
                "`task_objective` may weigh the others. Received: weights of the rows"
            )
        x = self.checked_inputs(x)
        y = self._checked_targets("y", y, x["query_x"])
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

    def checked_inputs(self, inputs):
        """The inputs of an episode as tensors of the model's dtypes.

        Raises:
            ValueError: where they lack a key, or one has a wrong rank, shape, dtype, number of tasks or (eagerly) label.
        """
        if not isinstance(inputs, dict) or any(key not in inputs for key in episode.KEYS):
            received = sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__
            raise ValueError(f"Inputs must have the keys {list(episode.KEYS)}. Received: {received}")
        support_x, support_y = self.checked_support(inputs["support_x"], inputs["support_y"])
        query_x = self.checked_queries(inputs["query_x"], {"support_x": support_x})
        return {"support_x": support_x, "support_y": support_y, "query_x": query_x}

    def checked_support(self, support_x, support_y):
        """A support set, tensors or NumPy, as tensors of the model's dtypes.

        Raises:
            ValueError: where it has a wrong rank, shape, dtype or (eagerly) label.
        """
        support_x = episode.as_images("support_x", support_x, self.input_shape, self.variable_dtype)
        return support_x, self._checked_targets("support_y", support_y, support_x)

    def checked_queries(self, query_x, task_state):
        """Queries, tensors or NumPy, as a tensor of the model's dtype.

        Raises:
            ValueError: where they have a wrong rank, shape or dtype, or not the tasks of the state.
        """
        query_x = episode.as_images("query_x", query_x, self.input_shape, self.variable_dtype)
        for name, value in task_state.items():
            if not query_x.shape[:1].is_compatible_with(value.shape[:1]):
                raise ValueError(
                    f"`query_x` must have the {value.shape[0]} tasks of `{name}`. Received: shape={query_x.shape}"
                )
        return query_x

    def _checked_targets(self, name, targets, images):
        dtype = tf.int64 if self.target_size is None else self.variable_dtype
        return episode.as_targets(name, targets, images, dtype, self.way, self.target_size)

    # ---- Keras

    def compile(self, optimizer=None, loss=None, loss_weights=None, metrics=None, weighted_metrics=None, **options):
        """Keras' `compile`; see the class for what it takes.

        Raises:
            ValueError: for `loss`, `loss_weights` or `weighted_metrics`, and a subclass' `compute_loss`; for jit_compile=True; for metrics that are no list, or
                named as one of the model's; for a backbone whose layers use `add_loss` or `activity_regularizer`; for an optimizer
                that does not apply every gradient, in a strategy of tf.distribute.
        """
        compiling.refuse(self, loss=loss, loss_weights=loss_weights, weighted_metrics=weighted_metrics)
        compiling.refuse_own_loss(self)
        compiling.refuse_jit(options.get("jit_compile"))
        compiling.refuse_added_losses(self.backbone)
        reported = ("loss", *(metric.name for metric in self._episode_metrics))
        compiling.refuse_conditional(optimizer)
        super().compile(optimizer=optimizer, metrics=compiling.own_metrics(metrics, reported), **options)

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    def fit(self, x=None, y=None, batch_size=None, epochs=1, verbose="auto", callbacks=None, **options):
        """Keras' `fit`; callbacks that monitor a metric of the model know whether higher is better."""
        compiling.set_modes(callbacks, {metric.name: metric.direction for metric in self._episode_metrics})
        return super().fit(x, y, batch_size, epochs, verbose, callbacks, **options)

    def export(self, *args, **kwargs):
        """Refused: one function has no place for the task state.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            "A model that adapts is served by signatures of its own: use `export.export_saved_model(model, folder)`, or "
            "`metazoa export` for a preset. Keras' `export` writes a single function."
        )

    def save_preset(self, folder, ink=None, fit=None):
        """Writes the model as a preset, plain data that `zoo.from_preset(folder)` loads and the export binaries take.

        Args:
            folder: made where missing; a preset there is replaced, a training run is not.
            ink: whether its pictures are dark ink on light paper; what the preset that it came from says when None, else False.
            fit: how its pictures were brought to their size, "stretch", "crop" or "pad"; likewise when None, else "stretch".

        Raises:
            ValueError: for a folder that cannot be written or holds a training run, or a backbone with classes of others than
                Keras and the zoo.
        """
        from zoo.presets import writer

        writer.save_preset(self, folder, ink, fit)

    def with_way(self, way):
        """The same model, with copies of its weights, for another number of classes.

        Raises:
            ValueError: where the method's weights depend on the way.
        """
        if way != self.way and not self.supports_variable_way:
            raise ValueError(
                f"`way` must be {self.way}, the way that this {type(self).__name__} was made with. Received: way={way!r}"
            )
        copy = type(self).from_config({**self.get_config(), "way": way})
        copy.set_weights(self.get_weights())
        return copy

    def learn(self, classes, invert=None):
        """Learns classes from pictures, and returns what names others: `zoo.picture_classifier.PictureClassifier`.

        Nothing of the model changes. A picture is a NumPy array (uint8, or float from 0 to 1; [H, W] or [H, W, C]), a PIL
        image or a path, of any size; it is turned, laid on paper, made grey or RGB, and cropped, padded or stretched
        (`image_fit`) and resized as data sets do it, see `zoo.datasets.image_files.read_image`.

        Args:
            classes: {name: list of pictures} of 2 to `way` classes; or a folder that holds a folder of pictures per class.
            invert: whether pictures are dark ink on light paper, to turn into ink 1 and paper 0; what the preset says when None.

        Raises:
            ValueError: for other classes, what is no picture or cannot be read, or a model that does not classify images.

        Example:
            >>> model = zoo.from_preset("prototypical_network_conv4_omniglot_60way_1shot")
            >>> classifier = model.learn({"alpha": ["alpha1.png"], "beta": ["beta1.png", "beta2.png"]})
            >>> name, probability = classifier.predict("new.png")
        """
        from zoo import picture_classifier

        return picture_classifier.learn(self, classes, invert)

    def add_loss(self, loss):
        """Refused: training minimizes `task_objective`.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("`add_loss` would be ignored: put the term into `task_objective`, in a subclass.")

    def set_weights(self, weights):
        """Keras' `set_weights`, which layers that compute with copies of their weights see too."""
        super().set_weights(weights)
        renew_constants(self)

    def get_config(self):
        backbone = compiling.not_compiled(keras.saving.serialize_keras_object(self.backbone))
        config = {"name": self.name, "backbone": backbone, "way": self.way}
        if self.target_size is not None:
            config["target_size"] = self.target_size
        # How it takes pictures is a part of the model: `learn` of a copy, of `save` say, must not read them otherwise.
        config |= {
            name: getattr(self, name) for name in _OF_PICTURES if getattr(self, name) != getattr(FewShotModel, name)
        }
        frozen = frozen_layers.frozen_layers(self)
        return config if frozen == self.frozen_when_built() else {**config, frozen_layers.CONFIG_KEY: frozen}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        frozen = config.pop(frozen_layers.CONFIG_KEY, None)
        of_pictures = {name: config.pop(name) for name in _OF_PICTURES if name in config}
        config["backbone"] = arguments.made_again(config["backbone"])
        model = cls(**config)
        if frozen is not None:
            frozen_layers.freeze_layers(model, frozen)
        for name, value in of_pictures.items():
            setattr(model, name, value)
        return model

    def frozen_when_built(self):
        """Paths of the layers beside the backbone that the constructor freezes, see `zoo.core.frozen_layers`."""
        return []


def flatten_tasks(images):
    """[T, rows, ...] -> [T * rows, ...], to embed all tasks in one forward pass."""
    return tf.reshape(images, [-1, *images.shape[2:]])


def unflatten_tasks(embeddings, images):
    """[T * rows, ...] -> [T, rows, ...], with T and rows of `images`."""
    num_tasks, num_rows = tf.unstack(tf.shape(images)[:2])
    return tf.reshape(embeddings, [num_tasks, num_rows, *embeddings.shape[1:]])
