"""The training loop: one loop for every method, data set and strategy.

Why not `fit` and its callbacks, which work for every method on one machine:

- Under MultiWorkerMirroredStrategy `fit` of Keras 3.15 fails: it reduces PerReplica data while it builds the model.
- A run that is killed goes on to the same weights. Here a checkpoint is model, optimizer, step and best validation at one
  step, and the episodes of a step are drawn by its number; `BackupAndRestore` starts the data anew.
- Validation, checkpoints and logs fall on steps of the config, in one compiled call between two of them, on every replica.
"""

import contextlib
import math
import time

import keras
import tensorflow as tf
import tqdm

import zoo
from publishing.results import format_result
from trainers import builder, class_record
from trainers.checks import check_run
from trainers.distribute import describe_machine, distribute_episodes, is_chief, run_steps
from trainers.fitting import fit_counts
from trainers.initial_weights import load_initial_weights
from trainers.learning_curve import plot_learning_curve
from trainers.other_layers import other_layers
from trainers.workdir import Workdir
from zoo.core.metrics import lower_is_better


class TrainingError(RuntimeError):
    """Training cannot go on; the workdir is as its last checkpoint left it."""


def train(config, workdir, strategy, command="", make_trainer=None):
    """Trains a model, or goes on where an interrupted run of the same config stopped.

    Args:
        config: plain data, see configs/common.py.
        workdir: folder of the run.
        strategy: a tf.distribute strategy.
        command: what to tell people who want to repeat the run; kept in the model's card.
        make_trainer: function (config, strategy) -> a `Trainer`, which says what a step is; `Trainer` when None.

    Raises:
        ValueError: for a config that cannot be built or started from what it names, or a workdir that cannot be used.
        TrainingError: when the loss is no longer finite, or the episodes break the model's contract.
    """
    files = Workdir(workdir, config, writes=is_chief(strategy))
    with files.locked():
        trainer = (make_trainer or Trainer)(config, strategy)
        manager = files.checkpointer(**trainer.checkpointed)
        if trainer.steps_done or files.has_weights:
            class_record.check_run(files.path, trainer.class_names)
        config = trainer.config  # its counts may be fitted to the data; the folder is claimed by what was asked for
        if trainer.fitted and files.writes:
            print(trainer.fitted, flush=True)
        if not trainer.steps_done:
            started_from = load_initial_weights(trainer.model, config)
            if started_from and files.writes:
                print(f"start: {started_from}", flush=True)
        _continue_run(files, trainer, config, command)
        files.claim()
        files.drop_records_after(trainer.steps_done)
        _run_to_the_end(files, trainer, manager, config)


def _run_to_the_end(files, trainer, manager, config):
    """Trains, validates, and writes what came of it, until all steps are done."""
    num_steps = config["outer"]["num_steps"]
    progress = tqdm.tqdm(
        total=num_steps, initial=trainer.steps_done, unit="step", disable=not files.writes, mininterval=1.0
    )
    with progress, files.event_writer():
        while trainer.steps_done < num_steps:
            logs = trainer.train_until(_next_stop(config, trainer.steps_done))
            if not math.isfinite(logs["loss"]):
                raise TrainingError(
                    f"The loss must stay finite. Received: {logs['loss']} before step {logs['step']}. The last checkpoint "
                    f"is {manager.latest_checkpoint}; try a lower --config.outer.learning_rate with a new --workdir"
                )
            with _writing(files, manager):
                files.record(logs)
            progress.set_postfix({name: f"{logs[name]:.4f}" for name in ("loss", trainer.metric)}, refresh=False)
            progress.update(logs["step"] - progress.n)
            if _is_due(config["validation"]["every"], trainer.steps_done, num_steps):
                logs = trainer.validate()
                best = trainer.is_best(logs)
                with _writing(files, manager):
                    files.record(logs)
                    if best:
                        trainer.keep_weights(files)
                if files.writes:
                    progress.write(_validation_line(logs, trainer.metric, best))
            if _is_due(config["checkpoint_every"], trainer.steps_done, num_steps) and files.writes:
                with _writing(files, manager):
                    tf.summary.flush()  # no step before a checkpoint is written again: its events must be there
                    manager.save(checkpoint_number=trainer.steps_done)
    if files.writes:
        plot_learning_curve(files.path, trainer.metric)


@contextlib.contextmanager
def _writing(files, manager):
    """Context of what is written into the workdir: what the disk refuses ends training in one line."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise TrainingError(
            f"{files.path} cannot be written: {str(error).splitlines()[0]}. When it can, the same command goes on from "
            f"{manager.latest_checkpoint or 'the beginning'}"
        ) from error


def _continue_run(files, trainer, config, command):
    """Brings model.json of a run up to date, before anything is trained; says what more or fewer steps than before mean."""
    done = trainer.steps_done
    metadata = files.metadata() if done else None  # it may hold the results of an evaluation
    if metadata is not None and (difference := other_layers(files.path, trainer.model.backbone)):
        raise ValueError(
            f"{files.path} must hold a run whose backbone has the layers that its config builds now: continue it with the version "
            f"that began it, or choose another --workdir. Received: {difference}"
        )
    if metadata is None:
        dataset = config["dataset"]
        ink = zoo.datasets.is_ink(dataset["name"], dataset["options"])
        record = {
            "config": config,
            "command": command,
            "ink": ink,
            "classes": class_record.summary(trainer.class_names),
        }
        if files.writes:
            class_record.write_record(files.path, trainer.class_names)
        metadata = record
    outer, before = config["outer"], (files.config_before or config)["outer"]
    if outer["num_steps"] < done:
        raise ValueError(
            f"`config.outer.num_steps` must be at least {done}, the steps that {files.path} has done. "
            f"Received: {outer['num_steps']}"
        )
    metadata["config"] = config
    metadata["machines"] = list(dict.fromkeys([*metadata.get("machines", []), describe_machine()]))
    if done and outer["num_steps"] != before["num_steps"]:
        earlier = [part for part in metadata.get("continued", []) if part["step"] < done]
        metadata["continued"] = [*earlier, {"step": done, "command": command}]
        if files.writes:
            print(f"continued: {_continuation(outer, before, done)}", flush=True)
    files.describe_model(trainer.model, metadata)


def _continuation(outer, before, done):
    """What another number of steps means for the rest of a run."""
    num_steps, schedule = outer["num_steps"], outer["schedule"]
    text = f"from step {done:,} on to {num_steps:,} in place of {before['num_steps']:,}"
    if schedule not in ("cosine", "linear"):
        return f"{text}; the learning rate is {schedule} as before"
    old, new = (float(builder.build_learning_rate(part)(done)) for part in (before, outer))
    return (
        f"{text}; the {schedule} schedule is drawn anew over all {num_steps:,} steps, so the learning rate goes on at {new:.3g}, "
        f"where it was {old:.3g}, and ends at 0"
    )


def _validation_line(logs, metric, best):
    result = {"metric": metric, "mean": logs[f"validation_{metric}"], "ci95": logs[f"validation_{metric}_ci95"]}
    name = metric.replace("_", " ")
    return f"step {logs['step']:,}: validation {name} {format_result(result)}{', the best so far' if best else ''}"


def _next_stop(config, step):
    """The next step at which something other than training happens."""
    every = (config["log_every"], config["checkpoint_every"], config["validation"]["every"])
    return min([step - step % n + n for n in every] + [config["outer"]["num_steps"]])


def _is_due(every, step, num_steps):
    return step % every == 0 or step == num_steps


class Trainer:
    """Model, optimizer, episodes and compiled steps of one run."""

    def __init__(self, config, strategy):
        tasks = {subset: builder.build_tasks(config["dataset"], subset) for subset in builder.SUBSETS}
        self.config, self.fitted = fit_counts(config, tasks)
        self.strategy = strategy
        self.class_names = class_record.names_by_subset(tasks)
        self._train_tasks, self._validation_tasks = tasks["train"], tasks["validation"]
        with strategy.scope():
            self.model = builder.build_model(config)
            self._compile()
        self.metric = self.model.episode_metric.name
        self._check(tasks)
        self._step = tf.Variable(0, dtype=tf.int64)
        self._best = tf.Variable(float("nan"))
        self._seconds = tf.Variable(0.0, dtype=tf.float64)
        self._train_iterator = None
        self._run = {
            step: tf.function(
                lambda iterator, num_steps, step=step: run_steps(strategy, step, iterator, num_steps), autograph=False
            )
            for step in (self.model.train_step, self.model.test_step)
        }

    def _compile(self):
        """Gives the model what it trains with; called in the strategy's scope."""
        self.model.compile(optimizer=builder.build_optimizer(self.config["outer"]))
        self.model.optimizer.build(self.model.trainable_variables)

    def _check(self, tasks):
        """Raises ValueError where config, model and {subset: tasks} do not fit each other."""
        check_run(self.config, self.model, tasks)

    @property
    def checkpointed(self):
        """What a checkpoint holds."""
        return {
            "model": self.model,
            "optimizer": self.model.optimizer,
            "step": self._step,
            "best": self._best,
            "seconds": self._seconds,
        }

    @property
    def steps_done(self):
        return int(self._step)

    def train_until(self, stop):
        """Trains up to step `stop`; the mean loss and metric of these steps, as a dict."""
        start = time.perf_counter()
        if self._train_iterator is None:
            self._train_iterator = self._iterator(self._train_tasks, "train", self.steps_done)
        logs = self._run_steps(self.model.train_step, self._train_iterator, stop - self.steps_done)
        self._step.assign(stop)
        self._seconds.assign_add(time.perf_counter() - start)
        logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        return {"step": stop, "seconds": float(self._seconds), **logs}

    def validate(self):
        """Loss and metric on the validation episodes, the same at each call."""
        start, part = time.perf_counter(), self.config["validation"]
        iterator = self._iterator(self._validation_tasks, "validation", 0)
        logs = self._run_steps(self.model.test_step, iterator, part["episodes"] // part["tasks"])
        self._seconds.assign_add(time.perf_counter() - start)
        return {"step": self.steps_done, "seconds": float(self._seconds)} | {
            f"validation_{name}": value for name, value in logs.items()
        }

    def is_best(self, logs):
        """Whether this validation is the best so far; remembers it if so."""
        value, best = logs[f"validation_{self.metric}"], float(self._best)
        better = math.isnan(best) or (value < best if lower_is_better(self.metric) else value > best)
        if better:
            self._best.assign(value)
        return better

    def keep_weights(self, files):
        """Writes what a run is for, the best so far, into its `Workdir`."""
        files.keep_weights(self.model)

    def _run_steps(self, step, iterator, num_steps):
        for metric in self.model.metrics:
            metric.reset_state()
        try:
            self._run[step](iterator, tf.constant(num_steps))
        except tf.errors.InvalidArgumentError as error:
            # A failed assertion: its message stands in brackets, the rest is the address in the graph.
            raise TrainingError(
                error.message.partition("assertion failed: ")[2].split("\n")[0] or error.message
            ) from error
        return {name: float(value) for name, value in self.model.get_metrics_result().items()}

    def _iterator(self, tasks, stream, start_step):
        part, seed = self.config[stream], builder.stream_seed(self.config["seed"], stream)

        def make_dataset(num_tasks, start, shard):
            return builder.episodes(tasks, part, seed, num_tasks, start=start, shard=shard)

        return distribute_episodes(self.strategy, make_dataset, part["tasks"], start_step)
