"""The training loop: one loop for every method, data set and strategy.

Why not `fit` and its callbacks, which work for every method on one machine:

- Under MultiWorkerMirroredStrategy `fit` of Keras 3.15 fails: it reduces PerReplica data while it builds the model.
- A run that is killed goes on to the same weights. Here a checkpoint is model, optimizer, step and best validation at one
  step, and the episodes of a step are drawn by its number; `BackupAndRestore` starts the data anew.
- Validation, checkpoints and logs fall on steps of the config, in one compiled call between two of them, on every replica.
"""

import contextlib
import math

import tensorflow as tf
import tqdm

import zoo
from commands import signals
from publishing.results import format_result
from trainers import builder, class_record, divergence, workers
from trainers.checkpoints import cannot_be_written
from trainers.distribute import describe_machine, is_chief
from trainers.errors import DivergenceError, TrainingError
from trainers.initial_weights import load_initial_weights
from trainers.learning_curve import plot_learning_curve
from trainers.other_layers import other_layers
from trainers.trainer import Trainer
from trainers.workdir import LOST, METRICS_FILE, Workdir
from zoo.core.graph_errors import line_of
from zoo.core.held_constants import renew_constants

_REMEDY = "try a lower --config.outer.learning_rate with a new --workdir"


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
        TrainingError: when the episodes break the model's contract or cannot be read, or disk or memory is full.
        DivergenceError: when the loss is no longer finite, or the run has learned nothing in the end.
        Resumable: after SIGTERM, where the process handles it (`commands.signals`); what was trained is saved.
    """
    files = Workdir(workdir, config, writes=is_chief(strategy))
    with files.locked(), workers.lost_workers(strategy):
        workers.check_alike(strategy, config)
        workers.check_shared(strategy, files.path, files.writes)
        trainer = (make_trainer or Trainer)(config, strategy)
        manager = files.checkpointer(**trainer.checkpointed)
        renew_constants(trainer.model)
        if trainer.steps_done or files.has_weights:
            class_record.check_run(files.path, trainer.class_names)
        config = trainer.config  # its counts may be fitted to the data; the folder is claimed by what was asked for
        if trainer.fitted and files.writes:
            print(trainer.fitted, flush=True)
        if not trainer.steps_done:
            started_from = load_initial_weights(trainer.model, config)
            if started_from and files.writes:
                print(f"start: {started_from}", flush=True)
        with _writing(files, manager):
            _continue_run(files, trainer, config, command)
            files.claim()
            files.drop_records_after(trainer.steps_done)
            writer = files.event_writer()
        with writer:
            _run_to_the_end(files, trainer, manager, config)


def _run_to_the_end(files, trainer, manager, config):
    """Trains, validates, and writes what came of it, until all steps are done."""
    num_steps, every = config["outer"]["num_steps"], config["validation"]["every"]
    progress = tqdm.tqdm(
        total=num_steps, initial=trainer.steps_done, unit="step", disable=not files.writes, mininterval=1.0
    )
    records = files.records()
    recorded = trainer.take_up(records)
    lost = _forget_lost_weights(files, trainer, manager, records)
    if trainer.steps_done < num_steps:
        trainer.prepare()  # traces, before SIGTERM waits for a step
    missing = _is_due(every, trainer.steps_done, num_steps) and (lost or "validation_loss" not in recorded)
    missing = trainer.steps_done and missing
    with progress, signals.termination_noted() as trainer.stop_asked:
        if workers.gather(trainer.strategy, [missing and files.writes]).any():  # one reads what it has written
            _validate(files, trainer, manager, progress)  # SIGTERM came before it had ended
        while trainer.steps_done < num_steps:
            _train(files, trainer, manager, progress, _next_stop(config, trainer.steps_done))
            if trainer.stopping():
                trainer.hold_sums()
                saved = _saved(files, trainer, manager)
                trainer.meet()
                raise signals.Resumable(f"terminated: {saved}")
            if _is_due(every, trainer.steps_done, num_steps):
                _validate(files, trainer, manager, progress)
            if _is_due(config["checkpoint_every"], trainer.steps_done, num_steps):
                _save(files, trainer, manager)
    if files.writes:
        with _writing(files, manager):
            tf.summary.flush()
            plot_learning_curve(files.path, trainer.metric)
    if reason := trainer.nothing_learned():
        raise DivergenceError(
            f"The run has learned nothing: {reason}. Its weights are in {files.path}; try another --config.outer.learning_rate "
            "with a new --workdir"
        )


def _forget_lost_weights(files, trainer, manager, records):
    """Whether the weights that a validation has kept, or all records of it, are lost; the next one's are kept, and a line says so."""
    lost = None
    if not files.writes:
        return False
    if any("validation_loss" in record for record in records):
        lost = files.lost_weights(trainer.kept)
    elif trainer.steps_done and not records and files.has_weights:
        lost = f"{files.path} has weights and no records, of {METRICS_FILE}, that tell of them"
    if lost is None:
        return False
    print(f"{lost}: the next validation keeps its weights in their place", flush=True)
    trainer.forget_best()
    with _writing(files, manager):
        files.record({"step": trainer.steps_done, LOST: 1})
    return True


def _train(files, trainer, manager, progress, stop):
    """Trains to step `stop`, or to where SIGTERM was noticed, and records what was trained."""
    with _in_a_line(trainer.strategy):
        logs = trainer.train_until(stop)
    if logs is None:
        return
    trainer.last.update(logs)
    if trainer.lost_step:
        raise DivergenceError(_lost(files, trainer, manager))
    with _writing(files, manager):
        files.record(logs)
    progress.set_postfix({name: f"{logs[name]:.4f}" for name in ("loss", trainer.metric)}, refresh=False)
    progress.update(logs["step"] - progress.n)


def _validate(files, trainer, manager, progress):
    """Validates, and keeps the weights if they are the best so far.

    The record comes last: a process that ends before it validates this step again.
    """
    with signals.termination_ends(f"terminated: {_saved(files, trainer, manager)}"), _in_a_line(trainer.strategy):
        logs = trainer.validate()
    if not math.isfinite(logs["validation_loss"]):
        raise DivergenceError(
            f"The loss of a validation must stay finite. Received: {logs['validation_loss']} at step {trainer.steps_done:,}, by the "
            f"weights of {manager.latest_checkpoint}; {_REMEDY}"
        )
    trainer.last.update(logs)
    best = trainer.is_best(logs)
    with _writing(files, manager):
        if best:
            trainer.keep_weights(files)
        files.record(logs)
    if files.writes:
        progress.write(_validation_line(logs, trainer.metric, best))


def _lost(files, trainer, manager):
    """Saves the batch of the step whose loss was not finite; what to say of it."""
    step = trainer.lost_step
    arrays, source = trainer.batch_of(step)
    there = ""
    if files.writes:
        with _writing(files, manager):
            there = f", {divergence.save_batch(files.path, step, arrays)}"
    trainer.meet()
    return (
        f"The loss must stay finite. Received: {trainer.last['loss']} at step {step:,} by the batch {source}{there}. The last checkpoint is "
        f"{manager.latest_checkpoint}; {_REMEDY}"
    )


def _saved(files, trainer, manager):
    """Saves a checkpoint, and says so."""
    _save(files, trainer, manager)
    return f"step {trainer.steps_done:,} is saved, and the same command continues from there"


def _save(files, trainer, manager):
    if files.writes:
        with _writing(files, manager):
            tf.summary.flush()  # no step before a checkpoint is written again: its events must be there
            manager.save(checkpoint_number=trainer.steps_done)


@contextlib.contextmanager
def _in_a_line(strategy):
    """Context of steps: what TensorFlow says where they fail, by a broken contract, data that is gone or too little memory, is a line.

    Where several processes train, what is no broken contract may be the end of another, and stays as it is.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if workers.num_processes(strategy) > 1 and not isinstance(error, tf.errors.InvalidArgumentError):
            raise
        raise TrainingError(line_of(error)) from error


@contextlib.contextmanager
def _writing(files, manager):
    """Context of what is written into the workdir: what the disk refuses ends training in one line."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise cannot_be_written(files.path, error, manager.latest_checkpoint) from error


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
