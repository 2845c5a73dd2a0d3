"""tf.distribute, and the threads of one machine."""

import os
import platform

import tensorflow as tf

from commands import signals
from trainers import rendezvous
from zoo.core import task_loop

STRATEGIES = ("none", "mirrored", "multi_worker")


def configure_threads(method):
    """Sets TensorFlow's threads for a method class and the loop over tasks; call before TensorFlow runs its first op."""
    if method.one_thread_per_op and task_loop.chosen() != "batched":  # then operations are few and large
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(os.cpu_count())


def describe_machine():
    """This machine in words: "2 CPU cores (x86_64), no GPU", or its GPUs by name."""
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    cores = f"{os.cpu_count()} CPU cores ({platform.machine()})"
    return f"{cores}, {' and '.join(gpus)}" if gpus else f"{cores}, no GPU"


def make_strategy(name, num_virtual_cpus=0, worker_timeout=300):
    """The strategy of that name.

    Args:
        name: "none"; "mirrored": all GPUs of this machine, or all CPU devices where there is none; "multi_worker":
            synchronous training over all devices of the machines of TF_CONFIG.
        num_virtual_cpus: splits the CPU into so many devices first, to try "mirrored" on a machine without GPUs.

        worker_timeout: seconds that a worker of "multi_worker" waits for the others.

    Raises:
        ValueError: for an unknown name, or a TF_CONFIG that is none.
        TimeoutError: where a worker has not come in time.
    """
    if name not in STRATEGIES:
        raise ValueError(f"`--strategy` must be one of {STRATEGIES}. Received: {name!r}")
    if num_virtual_cpus:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * num_virtual_cpus)
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "multi_worker":
        rendezvous.wait_for_cluster(worker_timeout)
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        signals.keep_handlers()
        return strategy
    return tf.distribute.get_strategy()


def is_chief(strategy):
    """Whether this process writes the files of the run."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    return resolver.task_type == "chief" or (resolver.task_type == "worker" and resolver.task_id == 0)


def distribute_episodes(strategy, make_dataset, num_tasks, start_step=0):
    """An iterator of global batches of `num_tasks` tasks, the same tasks for any number of replicas.

    Args:
        strategy: a tf.distribute strategy.
        make_dataset: `(num_tasks, start, shard) -> tf.data.Dataset` of batches of so many tasks.
        num_tasks: tasks of a global batch.
        start_step: global batches to leave out.

    Raises:
        ValueError: where the replicas cannot share the tasks evenly.
    """
    replicas = strategy.num_replicas_in_sync
    if num_tasks % replicas:
        raise ValueError(f"`tasks` must be a multiple of the {replicas} replicas. Received: tasks={num_tasks}")
    if replicas == 1:
        return iter(make_dataset(num_tasks, start_step, (1, 0)))
    return iter(
        strategy.distribute_datasets_from_function(
            lambda context: worker_batches(make_dataset, num_tasks, start_step, context)
        )
    )


def worker_batches(make_dataset, num_tasks, start_step, context):
    """The batches of a worker's replicas, one after the other, of as many tasks each.

    A global batch is cut by worker and then by replica: every task belongs to one replica, and the tasks of a step are the same
    for any number of workers and of their devices.

    Args:
        make_dataset, num_tasks, start_step: as in `distribute_episodes`; `num_tasks` is a multiple of the replicas.
        context: tf.distribute.InputContext of the worker.
    """
    workers = context.num_input_pipelines
    replicas = context.num_replicas_in_sync // workers
    dataset = make_dataset(num_tasks // workers, start_step * workers, (workers, context.input_pipeline_id))
    if replicas == 1:
        return dataset
    return dataset.flat_map(
        lambda *batch: tf.data.Dataset.from_tensor_slices(
            tf.nest.map_structure(lambda values: tf.stack(tf.split(values, replicas)), batch)
        )
    )


def run_steps(strategy, step, iterator, num_steps):
    """Runs `step(batch)` on every replica for `num_steps` global batches. For use inside a tf.function.

    Args:
        step: function from a batch to metrics, a dict with "loss", the mean loss so far.
        iterator: of global batches.
        num_steps: int32 scalar tensor.

    Returns:
        int32 scalar: number of the first step, from 0 on, after which the loss of a replica of this process was not finite; -1
        where there is none.
    """
    step = tf.autograph.experimental.do_not_convert(step)  # no step needs it, and converting takes seconds

    def body(count, lost):
        losses = strategy.experimental_local_results(strategy.run(step, args=(next(iterator),))["loss"])
        finite = tf.reduce_all([tf.math.is_finite(loss) for loss in losses])
        return count + 1, tf.where(finite | (lost >= 0), lost, count)

    start = tf.constant(0), tf.constant(-1)
    return tf.while_loop(lambda count, _: count < num_steps, body, start, parallel_iterations=1)[1]
