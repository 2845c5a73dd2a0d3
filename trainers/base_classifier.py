"""Pretraining: a plain classifier of the training classes, whose body few-shot methods start from."""

import os
import tempfile
import time

import keras

from trainers import builder, loop
from trainers.checks import check_kind, check_run
from trainers.initial_weights import BACKBONE_FILE
from zoo.core.cosine_head import CosineHead
from zoo.datasets.options import check_int

HEADS = {"linear": keras.layers.Dense, "cosine": CosineHead}
# Images that the mean of the training features is measured on: as far from that of all as a standard error of 1/80.
_BASE_IMAGES = 6400
_STEPS_PER_EXECUTION = 20  # steps in one compiled call of `fit`


class Pretrainer(loop.Trainer):
    """One run of `trainers.pretrain`: its steps are those of Keras' `fit` on a classifier, its validation is few-shot.

    The run's model is a method whose only trained weights are those of its backbone, such as `zoo.SimpleShot`. The classifier is
    this backbone with a head on top, which no preset keeps.
    """

    def _compile(self):
        check_kind(self.config, "trainers.pretrain")
        part = self.config["train"]
        check_int("config.train.batch", part["batch"], 1)
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
        self.classifier = keras.Model(backbone.input, head(backbone.output), name="classifier")
        self.classifier.compile(
            optimizer=builder.build_optimizer(self.config["outer"]),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            steps_per_execution=_STEPS_PER_EXECUTION,
            jit_compile=False,  # XLA is no gain on CPU, see docs/performance.md
        )
        self.classifier.optimizer.build(self.classifier.trainable_variables)

    def _check(self, tasks):
        check_run(self.config, self.model, tasks, streams=("validation",))

    @property
    def checkpointed(self):
        return {**super().checkpointed, "classifier": self.classifier, "optimizer": self.classifier.optimizer}

    def train_until(self, stop):
        """Trains up to step `stop`; the mean loss and accuracy of these steps, as a dict."""
        start = time.perf_counter()
        batches = self._batches(self._train_tasks, "train", self.steps_done).take(stop - self.steps_done)
        (loss,), (accuracy,) = map(
            self.classifier.fit(batches, shuffle=False, verbose=0).history.get, ("loss", "accuracy")
        )
        self._step.assign(stop)
        self._seconds.assign_add(time.perf_counter() - start)
        rate = float(keras.ops.convert_to_numpy(self.classifier.optimizer.learning_rate))
        logs = {"loss": loss, "accuracy": accuracy, "learning_rate": rate}
        return {"step": stop, "seconds": float(self._seconds), **logs}

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


def save_backbone(backbone, folder):
    """Writes backbone.weights.h5 into a folder, atomically."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".weights-") as scratch:
        path = os.path.join(scratch, BACKBONE_FILE)
        backbone.save_weights(path)
        os.replace(path, os.path.join(folder, BACKBONE_FILE))
