"""Methods that adapt by gradients: one task at a time, mapped over tasks in this one place."""

import contextlib
import functools
import logging
import os
import re

import tensorflow as tf

from zoo.core import batched_operations, episode, gradients, task_loop
from zoo.core.few_shot_model import FewShotModel
from zoo.core.random_masks import drawn_at


@contextlib.contextmanager
def _variable_scope_kept():
    """Context around `tf.map_fn`, which leaves a device in the scope of all graphs where its function raises an error.

    No strategy of tf.distribute could be entered afterwards in the process.
    """
    scope = tf.compat.v1.get_variable_scope()
    device = scope.caching_device
    try:
        yield
    except BaseException:
        if not tf.executing_eagerly():
            scope.set_caching_device(device)
        raise


@_variable_scope_kept()
def map_tasks(function, tasks, output_signature, batchable=False):
    """Applies `function` to each task of `tasks` (T leading) and stacks the results; each task draws numbers of its own.

    The one place where it is chosen whether tasks are taken one after the other or all at once, see `task_loop`. Eager calls take
    them one after the other: all at once they would be traced anew in each call.

    Args:
        function: of one task, a structure of tensors without T.
        tasks: that structure with T.
        output_signature: structure of tf.TensorSpec of what `function` returns.
        batchable: whether `function` may be run for all tasks at once, see `task_loop.at_once`.

    Raises:
        ValueError: where "batched" was chosen, and the function is `batchable` but TensorFlow cannot run it so.
    """
    leading = tf.convert_to_tensor(tf.nest.flatten(tasks)[0])
    num_tasks = tf.shape(leading)[0]
    replica = tf.distribute.get_replica_context()
    first = 0 if replica is None else tf.cast(replica.replica_id_in_sync_group, tf.int32) * num_tasks

    @tf.autograph.experimental.do_not_convert  # it would wrap every error in the lines of its own code
    def numbered(element):
        number, task = element
        with drawn_at(number):
            return function(task)

    if not tf.executing_eagerly() and leading.shape[:1] == [1]:  # no loop, which engines for devices cannot run
        one = numbered((first, tf.nest.map_structure(lambda values: values[0], tasks)))
        return tf.nest.map_structure(lambda value: tf.expand_dims(value, 0), one)
    if batchable and task_loop.is_batched() and not tf.executing_eagerly():
        outputs = _all_at_once(numbered, (first + tf.range(num_tasks), tasks), output_signature)
        if outputs is not None:
            return outputs
    # Two tasks in flight per core keep it busy; more of them push each other out of its cache.
    parallel_iterations = 1 if tf.executing_eagerly() else 2 * os.cpu_count()
    return tf.map_fn(
        numbered,
        (first + tf.range(num_tasks), tasks),
        fn_output_signature=output_signature,
        parallel_iterations=parallel_iterations,
    )


def _all_at_once(function, tasks, output_signature):
    """The function of all tasks, each of its operations in one for all of them; None where "auto" may take the map instead."""
    # By number: `vectorized_map` takes what has one element for a value that all tasks share.
    num_tasks = tf.shape(tf.nest.flatten(tasks)[0])[0]

    def of_number(number):
        return function(tf.nest.map_structure(lambda values: tf.gather(values, number), tasks))

    batched_operations.register()
    try:
        with task_loop.tasks_at_once(), _said_by_us():
            outputs = tf.vectorized_map(of_number, tf.range(num_tasks), fallback_to_while_loop=False)
    except ValueError as error:
        reason = _reason(error)
        if task_loop.chosen() == "batched":
            raise ValueError(f"Tasks cannot be taken all at once (--task_loop=batched): {reason}") from error
        _say_once(reason)
        return None
    tf.nest.map_structure(lambda value, spec: value.set_shape([None, *spec.shape]), outputs, output_signature)
    return outputs


@contextlib.contextmanager
def _said_by_us():
    """Context without what `vectorized_map` logs: a hundred lines of an operation that it cannot batch, where `_reason` has one."""
    logger, silence = tf.get_logger(), (lambda record: record.filename != "pfor.py")
    logger.addFilter(silence)
    try:
        yield
    finally:
        logger.removeFilter(silence)


@functools.cache
def _say_once(reason):
    logging.warning("Tasks are taken one by one, since they cannot be taken all at once: %s", reason)


def _reason(error):
    """What `vectorized_map` could not do, in one line that names the operation: TensorFlow's own has many and names a kind."""
    message = str(error)
    kind = re.search(r"No pfor vectorization defined for (\w+)|of op '(\w+)'", message)
    kind = kind and (kind[1] or kind[2])
    found = [op.name for op in tf.compat.v1.get_default_graph().get_operations() if op.type == kind]
    return f"TensorFlow has no such form of {kind}, in {found[0]}" if found else " ".join(message.split())[:200]


def usable_support(support_x, support_y, usable):
    """The usable rows of one task and their weights, with one row of weight 0 where there is none.

    Batch statistics must not see padded rows, so they are taken out and not only weighted; and the gradient of a
    max-pool over zero rows aborts the process, hence the one zero row. Where all tasks are run at once they stay, as zeros of
    weight 0 behind the others, and `batch_norm.weighted_rows` keeps them out of statistics.

    Returns: `(x [rows, ...], y [rows, ...], weights float [rows])`.
    """
    if task_loop.at_once():
        return _usable_first(support_x, support_y, usable)
    x, y = tf.boolean_mask(support_x, usable), tf.boolean_mask(support_y, usable)
    num_dummies = tf.cast(tf.equal(tf.shape(y)[0], 0), tf.int32)

    def pad(rows):
        return tf.pad(rows, tf.concat([[[0, num_dummies]], tf.zeros([rows.shape.rank - 1, 2], tf.int32)], axis=0))

    weights = tf.concat([tf.ones([tf.shape(y)[0]], x.dtype), tf.zeros([num_dummies], x.dtype)], axis=0)
    padded_x, padded_y = pad(x), pad(y)
    for padded, rows in ((padded_x, x), (padded_y, y)):
        padded.set_shape([None, *rows.shape[1:]])  # an op would do too, and engines for devices do not know it
    return padded_x, padded_y, weights


def rows_that_count(rows, weights):
    """Those rows of one task whose weight is not 0, and their weights; all of them where all tasks are run at once."""
    if task_loop.at_once():
        return rows, weights
    return tf.boolean_mask(rows, weights > 0), tf.boolean_mask(weights, weights > 0)


def minibatch(step, size, weights):
    """The rows of minibatch number `step` of one task, from the start again when they are used up: int32 [size].

    Args:
        step: int, or int32 scalar.
        size: rows of a minibatch; all rows when None.
        weights: of the rows, from `usable_support`.
    """
    if size is None:
        return tf.range(tf.shape(weights)[0])
    num_usable = tf.maximum(tf.math.count_nonzero(weights, dtype=tf.int32), 1)
    return (step * size + tf.range(size)) % num_usable


def _usable_first(x, y, usable):
    """All rows, the usable ones first and the others zeros of weight 0."""
    order = tf.argsort(tf.cast(tf.logical_not(usable), tf.int32), stable=True)
    x, y, usable = tf.gather(x, order), tf.gather(y, order), tf.gather(usable, order)
    of_row = tf.reshape(usable, [-1] + [1] * (x.shape.rank - 1))
    return tf.where(of_row, x, tf.zeros_like(x)), tf.where(usable, y, tf.zeros_like(y)), tf.cast(usable, x.dtype)


class TaskwiseModel(FewShotModel):
    """A few-shot model that is written for one task; `adapt` and `predict_with` map it over tasks.

    The outer gradient is taken inside the map, task by task, so nothing is stacked between the forward and the backward
    pass of different tasks: half the trace and twice the speed of a tape around the map.
    """

    one_thread_per_op = True  # tasks are independent of each other

    def adapt_task(self, support_x, support_y, training=False):
        """`adapt` for one task: [S, ...], [S] -> state without the leading T."""
        raise NotImplementedError(f"{type(self).__name__} must define `adapt_task`.")

    def predict_task(self, task_state, query_x, training=False):
        """`predict_with` for one task: state, [Q, ...] -> outputs [Q, way]."""
        raise NotImplementedError(f"{type(self).__name__} must define `predict_task`.")

    def state_signature(self):
        """tf.TensorSpec of every entry of one task's state, by name."""
        raise NotImplementedError(f"{type(self).__name__} must define `state_signature`.")

    def _outputs_spec(self):
        return tf.TensorSpec([None, self.way or self.target_size], self.compute_dtype)

    def adapt(self, support_x, support_y, training=False):
        support = self.checked_support(support_x, support_y)
        return map_tasks(
            lambda task: self.adapt_task(*task, training=training), support, self.state_signature(), batchable=True
        )

    def predict_with(self, task_state, query_x, training=False):
        task_state = episode.as_state(task_state, self.state_signature())
        query_x = self.checked_queries(query_x, task_state)
        return map_tasks(
            lambda task: self.predict_task(*task, training=training),
            (task_state, query_x),
            self._outputs_spec(),
            batchable=True,
        )

    def compute_gradients(self, x, y, scale_loss=tf.identity):
        variables = self.trainable_variables

        def one_task(task):
            support_x, support_y, query_x, query_y = task
            with tf.GradientTape() as tape:
                state = self.adapt_task(support_x, support_y, training=True)
                outputs = self.predict_task(state, query_x, training=True)
                loss = self.task_objective(query_y, outputs)
                scaled = scale_loss(loss)
            return loss, outputs, gradients.gradient(tape, scaled, variables)

        signature = (
            tf.TensorSpec([], self.compute_dtype),
            self._outputs_spec(),
            [tf.TensorSpec(variable.shape, variable.dtype) for variable in variables],
        )
        tasks = (x["support_x"], x["support_y"], x["query_x"], y)
        losses, outputs, by_task = map_tasks(one_task, tasks, signature, batchable=True)
        return tf.reduce_mean(losses), outputs, [tf.reduce_mean(gradient, axis=0) for gradient in by_task]
