"""Measures the terms of the gradients of MAML, FOMAML and Reptile on tasks; see `zoo.optimization_based.gradient_terms`."""

import itertools
import math

import keras
import numpy as np
import tensorflow as tf

import zoo
from trainers import builder
from zoo.core.fast_weights import FastWeightsModel
from zoo.core.image_block import ImageBlock
from zoo.optimization_based import gradient_terms
from zoo.optimization_based.gradient_terms import METHODS

# What is compared with the exact direction: the expansion and its constant for the minibatches in one order, and the
# expected direction and its constant for the mean over all orders.
COMPARISONS = ("expansion", "constant", "expected", "expected_constant")


def parse_alphas(words):
    """Inner step sizes from large to small. Raises ValueError unless they are at least two different positive numbers."""
    try:
        alphas = sorted({float(word) for word in words}, reverse=True)
    except ValueError:
        alphas = []
    if len(alphas) < 2 or not all(0 < alpha < math.inf for alpha in alphas):
        raise ValueError(f"`--alphas` must be at least two different numbers above 0. Received: {','.join(words)}")
    return alphas


def build_in_float64(config, preset=None, smooth=False):
    """The model of a config in float64: fresh, or with the weights of a preset of that config.

    `smooth` puts softplus in the place of every ReLU of the backbone: the same weights, another function, without kinks.

    Raises:
        ValueError: for a method whose inner loop takes no gradient steps, or whatever else cannot be built.
    """
    method = builder.method_class(config)
    # The LSTM meta-learner changes weights by a rule that it learns: what is measured here says nothing about its steps.
    if not issubclass(method, FastWeightsModel) or issubclass(method, zoo.LSTMMetaLearner):
        raise ValueError(
            "The method must adapt the weights of its network by gradient steps, such as MAML, ANIL or Reptile. "
            f"Received: {config['model']['method']}"
        )
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        model = builder.build_model(config)
        if smooth:
            backbone = keras.models.clone_model(model.backbone, clone_function=_without_kink)
            serialized = keras.saving.serialize_keras_object(backbone)
            fresh, model = model, type(model).from_config({**model.get_config(), "backbone": serialized})
            model.set_weights(fresh.get_weights())
    finally:
        keras.config.set_dtype_policy(before)
    if preset is not None:
        model.set_weights(zoo.from_preset(preset).get_weights())
    return model


def _without_kink(layer):
    if isinstance(layer, keras.layers.ReLU):
        return keras.layers.Activation("softplus", name=layer.name, dtype=layer.dtype_policy)
    if isinstance(layer, ImageBlock):
        return ImageBlock.from_config({**layer.get_config(), "activation": "softplus"})
    return type(layer).from_config(layer.get_config())


def draw_tasks(tasks, way, shot, num_batches, seed, num_tasks=1):
    """Batches of tasks as (x [T, rows, ...], y [T, rows]), with enough rows for minibatches of `shot` images per class.

    A class may have no image to spare for queries: the one query that an episode must have joins the support set.
    """
    episodes = builder.episodes(tasks, {"way": way, "shot": shot * num_batches - 1, "query": 1}, seed, num_tasks)
    return episodes.map(lambda x, y: (tf.concat([x["support_x"], x["query_x"]], 1), tf.concat([x["support_y"], y], 1)))


def split_rows(x, y, num_batches):
    """The rows of one task as minibatches with the same number of rows of each class: [k, rows, ...] each.

    Args:
        x: [rows, ...], equally many of each class.
        y: int labels [rows], or float targets [rows, D] of a task without classes.
        num_batches: k.
    """
    if y.dtype.is_integer:
        way = tf.reduce_max(y) + 1
        by_class = tf.reshape(tf.argsort(y, stable=True), tf.stack([way, num_batches, -1], axis=0))
        order = tf.reshape(tf.transpose(by_class, [1, 0, 2]), [num_batches, -1])
    else:
        order = tf.reshape(tf.range(tf.shape(y)[0]), [num_batches, -1])
    return tf.gather(x, order), tf.gather(y, order)


def measure(model, tasks, protocol, num_steps, num_tasks, alphas, seed):
    """Terms and errors over tasks, as plain data.

    Args:
        model: a float64 `FastWeightsModel`.
        tasks: with a method `episodes`.
        protocol: way, and shot of one minibatch.
        num_steps: minibatches k of a task, different data in each.
        num_tasks: at least 2.
        alphas: inner step sizes.
        seed: of the episodes.

    Returns:
        "terms": for each quantity its mean and standard error over tasks. "errors": by method, one dict per alpha with
        mean and standard error of each of COMPARISONS, as |direction - what it is compared with| / |direction|.

    Raises:
        ValueError: for counts that the tasks cannot give.
    """
    drawn = draw_tasks(tasks, protocol["way"], protocol["shot"], num_steps, seed)
    terms_of, errors_of = _measuring_functions(model, num_steps)
    averages, scalars, errors = [], [], []
    for x, y in drawn.take(num_tasks):
        batches = split_rows(*(_in_float64(rows[0]) for rows in (x, y)), num_steps)
        average, agreement, expansions = terms_of(*batches)
        averages.append(average.numpy())
        scalars.append([float(agreement), *_lengths_and_cosine(*averages[-1])])
        errors.append([errors_of(*batches, tf.constant(alpha, tf.float64), *expansions).numpy() for alpha in alphas])
    return {
        "terms": _summarize_terms(np.stack(averages), np.array(scalars)),
        "errors": _summarize_errors(np.array(errors), alphas),
    }


def _in_float64(values):
    return tf.cast(values, tf.float64) if values.dtype.is_floating else values


def _measuring_functions(model, num_steps):
    """Two compiled functions of a task's minibatches: its terms, and the errors of their expansions at an alpha."""
    phi, loss = gradient_terms.flat_problem(model)
    orders = tf.constant(list(itertools.permutations(range(num_steps))))  # the first is 0 .. k - 1

    def stack(by_method):  # pairs (constant, slope) -> [methods, P] each
        return tuple(tf.stack(parts) for parts in zip(*(by_method[method] for method in METHODS)))

    @tf.function(autograph=False)
    def terms_of(x, y):
        batches = list(zip(tf.unstack(x, num_steps), tf.unstack(y, num_steps)))
        a, b = gradient_terms.average_terms(loss, phi, batches)
        expansion = stack(gradient_terms.leading_terms(loss, phi, batches))
        expected = stack(gradient_terms.expected_terms(a, b, num_steps))
        return tf.stack([a, b]), gradient_terms.average_agreement(loss, phi, batches), (expansion, expected)

    def directions(x, y, alpha, order):
        batches = list(zip(tf.unstack(tf.gather(x, order), num_steps), tf.unstack(tf.gather(y, order), num_steps)))
        found = gradient_terms.directions(loss, phi, batches, alpha)
        return tf.stack([found[method] for method in METHODS])

    @tf.function(autograph=False)
    def errors_of(x, y, alpha, expansion, expected):
        spec = tf.TensorSpec([len(METHODS), len(phi)], phi.dtype)
        by_order = tf.map_fn(lambda order: directions(x, y, alpha, order), orders, fn_output_signature=spec)
        exact, average = by_order[0], tf.reduce_mean(by_order, axis=0)  # [methods, P]
        errors = []
        for direction, (constant, slope) in ((exact, expansion), (average, expected)):
            for compared in (constant - alpha * slope, constant):
                errors.append(tf.norm(direction - compared, axis=1) / tf.norm(direction, axis=1))
        return tf.stack(errors)  # [comparisons, methods]

    return terms_of, errors_of


def _lengths_and_cosine(a, b):
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    return *lengths, float(a @ b / max(lengths[0] * lengths[1], np.finfo(a.dtype).tiny))


def _summarize_terms(averages, scalars):
    """`averages` [T, 2, P] are A and B of each task, `scalars` [T, 4] what was taken of each task alone."""
    (a, a_error), (b, b_error) = (gradient_terms.mean_over_tasks(tf.constant(averages[:, i])) for i in range(2))
    length_a, length_b, cosine = _lengths_and_cosine(a.numpy(), b.numpy())
    agreement, task_a, task_b, task_cosine = (_mean_and_error(values) for values in scalars.T)
    return {
        "mean_A": {"length": float(length_a), "standard_error_length": float(a_error)},
        "mean_B": {"length": float(length_b), "standard_error_length": float(b_error)},
        "cosine_of_means": cosine,
        "length_A_per_task": task_a,
        "length_B_per_task": task_b,
        "cosine_per_task": task_cosine,
        "agreement": agreement,
    }


def _summarize_errors(errors, alphas):
    """`errors` [T, alphas, comparisons, methods] -> by method, one dict per alpha."""
    return {
        method: [
            {"alpha": alpha} | {name: _mean_and_error(errors[:, i, c, m]) for c, name in enumerate(COMPARISONS)}
            for i, alpha in enumerate(alphas)
        ]
        for m, method in enumerate(METHODS)
    }


def _mean_and_error(values):
    return [float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))]


def slopes(records, comparison):
    """Slope in log-log between each alpha and the next: d log(error) / d log(alpha)."""
    errors = np.log([record[comparison][0] for record in records])
    return list(np.diff(errors) / np.diff(np.log([record["alpha"] for record in records])))
