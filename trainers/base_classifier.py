"""Pretraining: a plain classifier of the training classes, whose body few-shot methods start from."""

import contextlib
import pathlib
import time

import keras
import tensorflow as tf

from commands import signals
from trainers import builder
from trainers.checks import check_kind, check_run
from trainers.initial_weights import BACKBONE_FILE
from trainers.trainer import Trainer
from zoo.core import compiling, gradients
from zoo.core.cosine_head import CosineHead
from zoo.core.files import replaced_path
from zoo.core.replica_statistics import over_replicas
from zoo.datasets.options import check_int
from zoo.presets.loader import WEIGHTS_FILE
from zoo.presets.writer import check_room_for

HEADS = {"linear": keras.layers.Dense, "cosine": CosineHead}
# Images that the mean of the training features is measured on: as far from that of all as a standard error of 1/80.
_BASE_IMAGES = 6400
_STEPS_PER_EXECUTION = 20  # steps in one compiled call of `fit` on a GPU; on a CPU they would be seconds


class Pretrainer(Trainer):
    """One run of `trainers.pretrain`: its steps are those of Keras' `fit` on a classifier, its validation is few-shot.

    The run's model is a method whose only trained weights are those of its backbone, such as `zoo.SimpleShot`. The classifier is
    this backbone with a head on top, which no preset keeps.
    """

    kept = (WEIGHTS_FILE, BACKBONE_FILE)

    def _compile(self):
        check_kind(self.config, "trainers.pretrain")
        part = self.config["train"]
        if not hasattr(self._train_tasks, "num_classes"):
            raise ValueError(
                f"`config.dataset.name` must be data with classes. Received: {self.config['dataset']['name']!r}"
            )
        check_int("config.train.batch", part["batch"], 1, self._train_tasks.num_images)
        if part["head"] not in HEADS:
            raise ValueError(f"`config.train.head` must be one of {sorted(HEADS)}. Received: {part['head']!r}")
        backbone = self.model.backbone
        if len(self.model.trainable_variables) > len(backbone.trainable_variables) or self.model.backbone_rank != 2:
            raise ValueError(
                "`config.model.method` must be one without trained weights but those of its backbone, such as SimpleShot. "
                f"Received: {type(self.model).__name__}"
            )
        self.model.compile()
        head = HEADS[part["head"]](self._train_tasks.num_classes, name="head")
        self.classifier = _Classifier(backbone.input, head(backbone.output), name="classifier")
        options = {"synchronization": tf.VariableSynchronization.ON_READ, "aggregation": tf.VariableAggregation.SUM}
        self._num_lost = tf.Variable(
            0, dtype=tf.int64, trainable=False, **options
        )  # steps since the loss is not finite
        self.classifier.see_loss = lambda loss: self._num_lost.assign_add(tf.cast(~tf.math.is_finite(loss), tf.int64))
        optimizer = builder.build_optimizer(self.config["outer"])
        compiling.refuse_conditional(optimizer)
        if optimizer.use_ema:  # Keras would put the averages in the weights at the end of each `fit`: at each record
            raise ValueError("`config.outer.optimizer_options.use_ema` must be left out in pretraining. Received: True")
        # The policy is the backbone's: Keras asks the classifier's, which is float32.
        if self.model.dtype_policy.name == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        self._accuracy = keras.metrics.SparseCategoricalAccuracy("accuracy")
        self.classifier.compile(
            optimizer=optimizer,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[self._accuracy],
            steps_per_execution=_STEPS_PER_EXECUTION if tf.config.list_logical_devices("GPU") else 1,
            jit_compile=False,  # XLA is no gain on CPU, see docs/performance.md
        )
        self.classifier.optimizer.build(self.classifier.trainable_variables)

    def _check(self, tasks):
        check_run(self.config, self.model, tasks, streams=("validation",))
        batch, replicas = self.config["train"]["batch"], self.strategy.num_replicas_in_sync
        if batch % replicas:
            raise ValueError(f"`config.train.batch` must be a multiple of the {replicas} replicas. Received: {batch}")

    @property
    def checkpointed(self):
        return {**super().checkpointed, "classifier": self.classifier, "optimizer": self.classifier.optimizer}

    def _sums(self):
        return [*self.classifier.metrics[0].variables, *self._accuracy.variables]

    def prepare(self):
        """Nothing: `fit` traces its step."""

    def train_until(self, stop):
        """Trains up to step `stop`; the mean loss and accuracy of these steps, as a dict; None where it was stopped before."""
        start = time.perf_counter()
        batches = self._batches(self._train_tasks, "train", self.steps_done).take(stop - self.steps_done)
        with contextlib.ExitStack() as tracing:
            # Nothing is lost before its first step, which may take long to trace.
            if self.classifier.train_function is None:
                text = "terminated: the same command continues from the last checkpoint"
                tracing.enter_context(signals.termination_ends(text))
            watch = _Watch(self._is_to_stop, self._sums(), tracing.close)
            history = self.classifier.fit(batches, shuffle=False, verbose=0, callbacks=[watch]).history
        self._step.assign(min(stop, self.steps_done + watch.num_steps))
        self._seconds.assign_add(time.perf_counter() - start)
        if num_lost := self._count_lost():
            self.lost_step = self.steps_done - num_lost + 1
        if self.steps_done < stop and not self.lost_step:
            return None
        for variable in self._sums():
            variable.assign(tf.zeros_like(variable))
        rate = float(keras.ops.convert_to_numpy(self.classifier.optimizer.learning_rate))
        logs = {"loss": history["loss"][0], "accuracy": history["accuracy"][0], "learning_rate": rate}
        return {"step": stop, "seconds": float(self._seconds), **logs}

    def _is_to_stop(self):
        return self.stopping() or self._count_lost() > 0

    def _count_lost(self):
        return max(int(count) for count in self.strategy.experimental_local_results(self._num_lost))

    def batch_of(self, step):
        images, labels = next(iter(self._batches(self._train_tasks, "train", step - 1)))
        seed = builder.stream_seed(self.config["seed"], "train")
        return {"images": images.numpy(), "labels": labels.numpy()}, f"start={step - 1} of seed={seed}"

    def validate(self):
        if hasattr(self.model, "measure_base_mean"):
            start = time.perf_counter()
            self.model.measure_base_mean(self._base_images())
            self._seconds.assign_add(time.perf_counter() - start)
        return super().validate()

    def _base_images(self):
        """Training images without the training options, which augment them."""
        if self._base_tasks is None:
            dataset = self.config["dataset"]
            if set(dataset["train_options"]) <= {"augmentation"}:  # the same images, which need not be read again
                self._base_tasks = self._train_tasks.with_augmentation(None)
            else:
                self._base_tasks = builder.build_tasks({**dataset, "train_options": {}}, "train")
        num_images = sum(len(rows) for rows in self._base_tasks.members)
        batch = self.config["train"]["batch"]
        batches = self._batches(self._base_tasks, "validation", 0)
        return batches.map(lambda images, _: images).take(max(1, min(num_images, _BASE_IMAGES) // batch))

    _base_tasks = None

    def _batches(self, tasks, stream, start_step):
        seed = builder.stream_seed(self.config["seed"], stream)
        return tasks.labelled_batches(self.config["train"]["batch"], seed, start_step)

    def keep_weights(self, files):
        super().keep_weights(files)
        if files.writes:
            save_backbone(self.model.backbone, files.path)


class _Classifier(keras.Model):
    """A classifier that shows the mean loss so far to `see_loss` at each step, in the graph.

    BatchNorm sees all replicas, and the gradient is clipped whole: Keras' own step does neither.
    """

    def train_step(self, data):
        images, labels = data
        with over_replicas():
            with tf.GradientTape() as tape:
                logits = self(images, training=True)
                loss = self.compute_loss(images, labels, logits, training=True)  # summed over replicas: the mean of all
                scaled = self.optimizer.scale_loss(loss)
            slopes = gradients.gradient(tape, scaled, self.trainable_variables)
        self.optimizer.apply(gradients.whole(slopes, self.optimizer), self.trainable_variables)
        mean = loss * tf.distribute.get_strategy().num_replicas_in_sync
        self.metrics[0].update_state(mean, sample_weight=tf.shape(images)[0])
        logs = self.compute_metrics(images, labels, logits)
        self.see_loss(logs["loss"])
        return logs


class _Watch(keras.callbacks.Callback):
    """Ends `fit` where a function says so; counts its steps, and tells of each. What its metrics have summed before goes on."""

    num_steps = 0

    def __init__(self, is_to_stop, sums, stepped):
        super().__init__()
        self._is_to_stop, self._stepped = is_to_stop, stepped
        self._sums = [(variable, variable.numpy()) for variable in sums]

    def on_epoch_begin(self, epoch, logs=None):
        for variable, value in self._sums:
            variable.assign(value)

    def on_train_batch_end(self, batch, logs=None):
        self.num_steps = batch + 1
        self._stepped()
        if self._is_to_stop():
            self.model.stop_training = True


def save_backbone(backbone, folder):
    """Writes backbone.weights.h5 into a folder, atomically."""
    check_room_for(backbone, folder)
    with replaced_path(pathlib.Path(folder, BACKBONE_FILE)) as path:
        backbone.save_weights(path)
