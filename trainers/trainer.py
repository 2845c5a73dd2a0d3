"""A run's model, optimizer and episodes, and its compiled steps."""

import math
import time

import keras
import numpy as np
import tensorflow as tf

from trainers import builder, class_record, divergence, workers
from trainers.checks import check_run
from trainers.distribute import distribute_episodes, run_steps
from trainers.fitting import fit_counts
from trainers.workdir import LOST, validations
from zoo.core.metrics import lower_is_better
from zoo.presets.loader import WEIGHTS_FILE


class Trainer:
    """Model, optimizer, episodes and compiled steps of one run."""

    kept = (WEIGHTS_FILE,)  # the files that `keep_weights` writes

    def __init__(self, config, strategy):
        tasks = {subset: builder.build_tasks(config["dataset"], subset) for subset in builder.SUBSETS}
        self.config, self.fitted = fit_counts(builder.with_input_shape(config, tasks["train"]), tasks)
        self.strategy = strategy
        self.class_names = class_record.names_by_subset(tasks)
        self._train_tasks, self._validation_tasks = tasks["train"], tasks["validation"]
        with strategy.scope():
            self.model = builder.build_model(self.config)
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
        self._pace = dict.fromkeys(self._run, 1)
        self._stopping = False
        self._held = [tf.Variable(tf.zeros(variable.shape, variable.dtype)) for variable in self._sums()]
        self.lost_step = None  # number, from 1 on, of the step whose loss was not finite
        self.last = {}  # the last value of everything that is recorded

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
            "sums": self._held,
        }

    def _sums(self):
        """The variables behind the metrics of training."""
        return [variable for metric in self.model.metrics for variable in metric.variables]

    def hold_sums(self):
        """Puts the sums since the last record into what a checkpoint holds; 0 at a record.

        Not the variables themselves: to read what is spread over processes, all of them must take part.
        """
        for held, variable in zip(self._held, self._sums()):
            held.assign(tf.convert_to_tensor(variable.value))

    @property
    def steps_done(self):
        return int(self._step)

    def stop_asked(self):
        """Whether this process was asked to stop; `train` replaces it."""
        return False

    def stopping(self):
        """Whether a process of the run was asked to stop: the same on all."""
        self._stopping = self._stopping or bool(workers.gather(self.strategy, [self.stop_asked()]).any())
        return self._stopping

    def meet(self):
        """Waits for the other processes of the run: where one leaves, TensorFlow may end the others in the middle of a write."""
        workers.gather(self.strategy, [0])

    def take_up(self, records):
        """Goes on after these records; names of the values that are recorded at the last step."""
        for record in records:
            self.last.update(record)
        validated = [record[f"validation_{self.metric}"] for record in validations(records)]
        if validated or any(LOST in record for record in records):
            # A process that ended before its checkpoint has kept weights already.
            self._best.assign((min if lower_is_better(self.metric) else max)(validated, default=math.nan))
        recorded = {name for record in records if record["step"] == self.steps_done for name in record}
        for held, variable in zip(self._held, self._sums()):
            variable.assign(tf.convert_to_tensor(held))
            held.assign(tf.zeros_like(held))
        return recorded

    def prepare(self):
        """Traces the training step."""
        if self._train_iterator is None:
            self._train_iterator = self._iterator(self._train_tasks, "train", self.steps_done)
            self._run[self.model.train_step].get_concrete_function(self._train_iterator, tf.constant(1))

    def train_until(self, stop):
        """Trains up to step `stop`; the mean loss and metric since the last record, as a dict; None where it was stopped before.

        Where a loss is not finite it ends too, and sets `lost_step`.
        """
        start = time.perf_counter()
        self.prepare()
        done = self._run_steps(self.model.train_step, self._train_iterator, stop - self.steps_done, stoppable=True)
        self._step.assign_add(done)
        self._seconds.assign_add(time.perf_counter() - start)
        if self.steps_done < stop and not self.lost_step:
            return None
        logs = self._take_metrics()
        logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        return {"step": stop, "seconds": float(self._seconds), **logs}

    def validate(self):
        """Loss and metric on the validation episodes, the same at each call."""
        start, part = time.perf_counter(), self.config["validation"]
        iterator = self._iterator(self._validation_tasks, "validation", 0)
        self._reset_metrics()
        self._run_steps(self.model.test_step, iterator, part["episodes"] // part["tasks"])
        logs = self._take_metrics()
        self._seconds.assign_add(time.perf_counter() - start)
        return {"step": self.steps_done, "seconds": float(self._seconds)} | {
            f"validation_{name}": value for name, value in logs.items()
        }

    def batch_of(self, step):
        """The batch that step number `step`, from 1 on, trains on: arrays by name, and where it comes from in words."""
        part, seed, start = self.config["train"], builder.stream_seed(self.config["seed"], "train"), step - 1
        x, y = next(iter(builder.episodes(self._train_tasks, part, seed, part["tasks"], start=start)))
        return {**{name: value.numpy() for name, value in x.items()}, "y": y.numpy()}, f"start={start} of seed={seed}"

    def nothing_learned(self):
        """Why a run that has ended has learned nothing, in words; None where it may have, or its records are gone."""
        if "loss" not in self.last:
            return None
        value, ci95 = (self.last[f"validation_{self.metric}{suffix}"] for suffix in ("", "_ci95"))
        loss = max(self.last["loss"], self.last["validation_loss"])
        return divergence.nothing_learned(self.steps_done, loss, self.metric, value, ci95, self._guessing())

    def _guessing(self):
        """What validation gives to guessing: 1 / way, or the variance of the targets."""
        part = self.config["validation"]
        way = builder.as_count(part["way"])
        if way is not None:
            return 1 / (way[1] if isinstance(way, tuple) else way)
        seed = builder.stream_seed(self.config["seed"], "validation")
        episodes = builder.episodes(self._validation_tasks, part, seed, part["tasks"])
        targets = [y.numpy() for _, y in episodes.take(part["episodes"] // part["tasks"])]
        return float(np.var(np.concatenate(targets), axis=(0, 1)).mean())

    def forget_best(self):
        """Makes the next validation the best so far."""
        self._best.assign(math.nan)

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

    def _run_steps(self, step, iterator, num_steps, stoppable=False):
        """Runs steps, in calls of about a second each; how many, fewer where `stoppable` and a process is asked to stop."""
        done = 0
        while done < num_steps and not (stoppable and (self._stopping or self.lost_step)):
            count, start = min(self._pace[step], num_steps - done), time.perf_counter()
            lost = self._call(step, iterator, count)
            pace = max(1, min(2 * count, round(count / (time.perf_counter() - start))))
            # Processes must run the same steps.
            paces, losts, asked = workers.gather(self.strategy, [pace, lost, self.stop_asked()]).T
            self._pace[step], self._stopping = int(paces.min()), self._stopping or bool(asked.any())
            if (losts >= 0).any() and stoppable:
                self.lost_step = self.steps_done + done + int(losts[losts >= 0].min()) + 1
            done += count
        return done

    def _call(self, step, iterator, num_steps):
        return int(self._run[step](iterator, tf.constant(num_steps)))

    def _reset_metrics(self):
        for metric in self.model.metrics:
            metric.reset_state()

    def _take_metrics(self):
        """The results of the metrics, which begin anew."""
        logs = {name: float(value) for name, value in self.model.get_metrics_result().items()}
        self._reset_metrics()
        return logs

    def _iterator(self, tasks, stream, start_step):
        part, seed = self.config[stream], builder.stream_seed(self.config["seed"], stream)

        def make_dataset(num_tasks, start, shard):
            return builder.episodes(tasks, part, seed, num_tasks, start=start, shard=shard)

        return distribute_episodes(self.strategy, make_dataset, part["tasks"], start_step)
