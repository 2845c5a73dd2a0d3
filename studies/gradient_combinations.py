"""Outer updates from single inner gradients and their sums.

Nichol, Achiam, Schulman: On First-Order Meta-Learning Algorithms, 2018, https://arxiv.org/abs/1803.02999, section 6.2. The
four minibatches of a task are different data. SGD steps of size alpha give g_1 .. g_k, and the outer step is one of

    g_1 (joint training),    g_k (FOMAML),    g_1 + .. + g_k (Reptile),    (g_1 + .. + g_k) / k

    theta <- theta - meta_step * alpha * mean over tasks of the combination

with meta_step falling linearly to 0. Every combination sees the same tasks and starts from the same weights.
"""

import time
import typing

import tensorflow as tf

import zoo
from studies.gradient_measurements import draw_tasks, split_rows
from trainers import builder
from zoo.core.taskwise import map_tasks
from zoo.optimization_based import gradient_terms


class Combination(typing.NamedTuple):
    """An outer update: `coefficients` of g_1, g_2 .., and the first meta_step. A mean is a sum of smaller steps."""

    name: str
    coefficients: tuple
    meta_step: float


COMBINATIONS = (
    Combination("g1", (1,), 0.25),
    Combination("g2", (0, 1), 0.25),
    Combination("g1+g2", (1, 1), 0.25),
    Combination("(g1+g2)/2", (1, 1), 0.125),
    Combination("g3", (0, 0, 1), 0.25),
    Combination("g1+g2+g3", (1, 1, 1), 0.25),
    Combination("(g1+g2+g3)/3", (1, 1, 1), 0.08325),
    Combination("g4", (0, 0, 0, 1), 0.25),
    Combination("g1+g2+g3+g4", (1, 1, 1, 1), 0.25),
    Combination("(g1+g2+g3+g4)/4", (1, 1, 1, 1), 0.0625),
)
MOST_STEPS = max(len(combination.coefficients) for combination in COMBINATIONS)
TEST_STEPS = 5


def build_model(config, shot, inner_learning_rate):
    """A fresh Reptile that adapts by TEST_STEPS steps of SGD on minibatches of way * shot rows.

    Raises:
        ValueError: for a config of another method, or one that cannot be built.
    """
    if builder.method_class(config) is not zoo.Reptile:
        raise ValueError(f"`--combine` needs a config of Reptile. Received: {config['model']['method']}")
    rows = shot * (config["train"]["way"] or 1)
    options = {
        **config["model"]["options"],
        "inner_optimizer": "sgd",
        "inner_learning_rate": inner_learning_rate,
        "num_inner_steps_test": TEST_STEPS,
        "inner_batch_test": rows,
    }
    return builder.build_model({**config, "model": {**config["model"], "options": options}})


def outer_update(loss, phi, batches, alpha, coefficients):
    """The combination of g_1, g_2 .. on one task: [P]."""
    _, gradients = gradient_terms.inner_loop(loss, phi, batches[: len(coefficients)], alpha)
    return tf.add_n([c * g for c, g in zip(coefficients, gradients) if c])


def train(
    model, train_tasks, test_tasks, way, shot, num_tasks, num_iterations, evaluate_every, num_episodes, seed, stop
):
    """Trains all of COMBINATIONS side by side.

    Args:
        model: from `build_model`.
        train_tasks, test_tasks: with a method `episodes`.
        way, shot: of one minibatch; at test, of the support set, with 1 query per class.
        num_tasks: per outer iteration.
        num_iterations: outer iterations.
        evaluate_every: iterations between evaluations; there is one before the first and one after the last.
        num_episodes: test episodes of an evaluation, the same ones each time.
        seed: of the episodes.
        stop: function without arguments, asked before each iteration: whether to end here, without an evaluation.

    Returns:
        An iterator of records, one per evaluation: iteration, seconds since the start, and `results`, for each
        combination (mean, 95 % half-width) of the model's metric over the test episodes.

    Raises:
        ValueError: for counts that the tasks cannot give; before anything is trained.
    """
    drawn = draw_tasks(train_tasks, way, shot, MOST_STEPS, builder.stream_seed(seed, "train"), num_tasks)
    protocol = {"way": way, "shot": shot, "query": 1}
    test_episodes = builder.episodes(test_tasks, protocol, builder.stream_seed(seed, "test"), num_episodes)
    model.compile()
    return _records(model, iter(drawn), next(iter(test_episodes)), num_iterations, evaluate_every, stop)


def _records(model, drawn, test_episodes, num_iterations, evaluate_every, stop):
    phi, _ = gradient_terms.flat_problem(model)
    weights = tf.Variable(tf.stack([phi] * len(COMBINATIONS)))  # [combinations, P]
    step = _make_step(model, weights)
    start = time.perf_counter()

    def record(iteration, results):
        seconds = round(time.perf_counter() - start, 1)
        return {"iteration": iteration, "seconds": seconds, "results": results}

    yield record(0, dict.fromkeys(_names(), _evaluate(model, phi, test_episodes)))
    for iteration in range(num_iterations):
        if stop():
            return
        step(*next(drawn), tf.constant(1 - iteration / num_iterations, weights.dtype))
        done = iteration + 1
        if done % evaluate_every == 0 or done == num_iterations:
            results = [_evaluate(model, phi, test_episodes) for phi in tf.unstack(weights)]
            yield record(done, dict(zip(_names(), results)))


def _names():
    return [combination.name for combination in COMBINATIONS]


def _make_step(model, weights):
    """A compiled function (x, y, fraction of the first meta_step) that updates `weights` in place."""
    _, loss = gradient_terms.flat_problem(model)
    meta_steps = tf.constant([c.meta_step for c in COMBINATIONS], weights.dtype)[:, None]
    alpha = model.inner_learning_rate

    @tf.function(autograph=False)
    def step(x, y, fraction):
        def one_task(task):
            batches = list(zip(*(tf.unstack(rows, MOST_STEPS) for rows in split_rows(*task, MOST_STEPS))))
            updates = [
                outer_update(loss, phi, batches, alpha, combination.coefficients)
                for combination, phi in zip(COMBINATIONS, tf.unstack(weights))
            ]
            return tf.stack(updates)

        updates = map_tasks(one_task, (x, y), tf.TensorSpec(weights.shape, weights.dtype))
        weights.assign_sub(fraction * meta_steps * alpha * tf.reduce_mean(updates, axis=0))

    return step


def _evaluate(model, phi, episodes):
    """(mean, 95 % half-width) of the model's metric under the weights `phi`, over a batch (x, y) of episodes."""
    gradient_terms.assign_vector(model, phi)
    logs = model.evaluate(*episodes, batch_size=25, verbose=0, return_dict=True)
    name = model.episode_metric.name
    return [float(logs[name]), float(logs[f"{name}_ci95"])]
