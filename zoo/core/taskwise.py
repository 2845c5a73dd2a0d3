"""Methods that adapt by gradients: one task at a time, mapped over tasks in this one place."""

import os

import tensorflow as tf

from zoo.core import episode, gradients
from zoo.core.few_shot_model import FewShotModel
from zoo.core.random_masks import drawn_at


def map_tasks(function, tasks, output_signature):
    """Applies `function` to each task of `tasks` (T leading) and stacks the results; each task draws numbers of its own.

    One traced body, whose iterations run in parallel up to the inter-op threads. `tf.vectorized_map` is no choice here: it
    is slower (grouped convolutions), and fails in a served graph where T is unknown and arrives as 1.
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
    # Two tasks in flight per core keep it busy; more of them push each other out of its cache.
    parallel_iterations = 1 if tf.executing_eagerly() else 2 * os.cpu_count()
    return tf.map_fn(
        numbered,
        (first + tf.range(num_tasks), tasks),
        fn_output_signature=output_signature,
        parallel_iterations=parallel_iterations,
    )


def usable_support(support_x, support_y, usable):
    """The usable rows of one task and their weights, with one row of weight 0 where there is none.

    Batch statistics must not see padded rows, so they are taken out and not only weighted; and the gradient of a
    max-pool over zero rows aborts the process, hence the one zero row.

    Returns: `(x [rows, ...], y [rows, ...], weights float [rows])`.
    """
    x, y = tf.boolean_mask(support_x, usable), tf.boolean_mask(support_y, usable)
    num_dummies = tf.cast(tf.equal(tf.shape(y)[0], 0), tf.int32)

    def pad(rows):
        return tf.pad(rows, tf.concat([[[0, num_dummies]], tf.zeros([rows.shape.rank - 1, 2], tf.int32)], axis=0))

    weights = tf.concat([tf.ones([tf.shape(y)[0]], x.dtype), tf.zeros([num_dummies], x.dtype)], axis=0)
    padded_x, padded_y = pad(x), pad(y)
    for padded, rows in ((padded_x, x), (padded_y, y)):
        padded.set_shape([None, *rows.shape[1:]])  # an op would do too, and engines for devices do not know it
    return padded_x, padded_y, weights


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
        return map_tasks(lambda task: self.adapt_task(*task, training=training), support, self.state_signature())

    def predict_with(self, task_state, query_x, training=False):
        task_state = episode.as_state(task_state)
        query_x = self.checked_queries(query_x, task_state)
        return map_tasks(
            lambda task: self.predict_task(*task, training=training), (task_state, query_x), self._outputs_spec()
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
        losses, outputs, by_task = map_tasks(one_task, tasks, signature)
        return tf.reduce_mean(losses), outputs, [tf.reduce_mean(gradient, axis=0) for gradient in by_task]
