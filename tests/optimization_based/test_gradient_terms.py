"""The identities that tie MAML, FOMAML and Reptile together, in float64, on the zoo's own classes and on the analysis.

T1 to T10 are numbered in the order of section 5 of Nichol, Achiam, Schulman 2018. "O(alpha^2)" is measured: the error must
shrink fourfold when alpha halves.
"""

import itertools
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests import descriptors
from tests.optimization_based.gradient_problems import (
    METHODS,
    ROWS,
    classification_batches,
    direction,
    episode,
    flat,
    linear_model,
    outer_gradient,
    plain_sgd,
    quadratic,
    regression_batches,
    tanh_model,
    tensors,
)
from zoo.optimization_based import gradient_terms

ALPHAS = (0.04, 0.02, 0.01)
EXACT = dict(rtol=1e-11, atol=1e-13)


def set_precision(dtype):
    keras.config.set_floatx(dtype)  # what `fit` and Keras losses cast to
    keras.config.set_dtype_policy(dtype)


@pytest.fixture(autouse=True)
def float64():
    set_precision("float64")
    yield
    set_precision("float32")


def assert_second_order(errors):
    """Errors at halved alphas: each at most a quarter of the one before, up to the next order, and no rounding noise."""
    ratios = np.array(errors[:-1]) / np.array(errors[1:])
    assert errors[-1] > 1e-12 and np.all((3.6 < ratios) & (ratios < 4.4)), (errors, ratios)


# ---- the identities


def test_t1_one_inner_step_is_joint_training():
    """k = 1: epsilon alpha times the mean gradient of all tasks, which is one SGD step on all their rows together."""
    tasks = [classification_batches(1, seed) for seed in range(3)]
    model = tanh_model("Reptile", 1, alpha=0.5)
    start = flat(model.network.trainable_variables)
    together = [tuple(np.concatenate(parts) for parts in zip(*(batches[0] for batches in tasks)))]
    expected, _ = plain_sgd(model, together, alpha=0.25 * 0.5)
    model.compile(optimizer=keras.optimizers.SGD(0.25))
    x, y = episode(tasks, "Reptile")
    model.fit(x, y, batch_size=3, verbose=0)
    np.testing.assert_allclose(flat(model.network.trainable_variables), expected, **EXACT)
    assert np.abs(expected - start).max() > 1e-3


@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_t2_reptile_is_the_sum_of_its_gradients(num_steps):
    batches = classification_batches(num_steps)
    model = tanh_model("Reptile", num_steps, alpha=0.5)
    end, gradients = plain_sgd(model, batches, alpha=0.5)
    update = outer_gradient(model, [batches])
    np.testing.assert_allclose(update, flat(model.network.trainable_variables) - end, **EXACT)
    np.testing.assert_allclose(update / 0.5, sum(gradients), **EXACT)
    phi, loss = gradient_terms.flat_problem(model)
    np.testing.assert_allclose(
        gradient_terms.directions(loss, phi, tensors(batches), 0.5)["Reptile"], sum(gradients), **EXACT
    )


@pytest.mark.parametrize("num_steps", [2, 4])
def test_t3_fomaml_is_the_last_gradient_and_the_difference_of_two_reptiles(num_steps):
    """FOMAML's inner steps all see the support set, so here the first k - 1 minibatches are one and the same."""
    first, last = classification_batches(2)
    batches = [first] * (num_steps - 1) + [last]
    model = tanh_model("FOMAML", num_steps - 1, alpha=0.5)
    fomaml = outer_gradient(model, [[first, last]])
    np.testing.assert_allclose(fomaml, plain_sgd(model, batches, alpha=0.5)[1][-1], **EXACT)
    longer, shorter = (outer_gradient(tanh_model("Reptile", k, 0.5), [batches]) for k in (num_steps, num_steps - 1))
    np.testing.assert_allclose(fomaml, (longer - shorter) / 0.5, **EXACT)
    phi, loss = gradient_terms.flat_problem(model)
    np.testing.assert_allclose(gradient_terms.directions(loss, phi, tensors(batches), 0.5)["FOMAML"], fomaml, **EXACT)


def hessian_at(loss, phi, batch):
    with tf.GradientTape() as tape:
        tape.watch(phi)
        value = gradient_terms.gradient(loss, phi, batch)
    return tape.jacobian(value, phi).numpy()


@pytest.mark.parametrize("num_steps", [2, 4])
def test_t4_maml_is_the_product_of_explicit_hessians(num_steps):
    first, last = classification_batches(2)
    batches, alpha = [first] * (num_steps - 1) + [last], 0.5
    model = tanh_model("MAML", num_steps - 1, alpha)
    phi, loss = gradient_terms.flat_problem(model)

    def product_formula(batches):
        points, gradients = gradient_terms.inner_loop(loss, phi, tensors(batches), alpha)
        result = gradients[-1].numpy()
        for point, batch in reversed(list(zip(points, tensors(batches)[:-1]))):  # the last factor meets g_k first
            result = result - alpha * hessian_at(loss, point, batch) @ result
        return result

    np.testing.assert_allclose(outer_gradient(model, [[first, last]]), product_formula(batches), **EXACT)
    different = classification_batches(num_steps, seed=1)
    exact = gradient_terms.directions(loss, phi, tensors(different), alpha)["MAML"]
    np.testing.assert_allclose(exact, product_formula(different), **EXACT)


@pytest.mark.parametrize("method, num_steps", [("MAML", 2), ("FOMAML", 2), ("Reptile", 2), ("Reptile", 4)])
def test_t5_leading_order_of_the_zoos_classes(method, num_steps):
    batches = classification_batches(num_steps)
    phi, loss = gradient_terms.flat_problem(tanh_model(method, 1, 0.1))
    terms = gradient_terms.leading_terms(loss, phi, tensors(batches))
    errors = [
        np.abs(direction(method, batches, alpha) - gradient_terms.to_leading_order(terms, alpha)[method]).max()
        for alpha in ALPHAS
    ]
    assert_second_order(errors)


@pytest.mark.parametrize("num_steps", [2, 3, 5])
def test_t5_leading_order_over_different_minibatches(num_steps):
    batches = tensors(classification_batches(num_steps))
    phi, loss = gradient_terms.flat_problem(tanh_model("MAML", 1, 0.1))
    terms = gradient_terms.leading_terms(loss, phi, batches)
    for method in gradient_terms.METHODS:
        errors = [
            np.abs(
                gradient_terms.directions(loss, phi, batches, alpha)[method]
                - gradient_terms.to_leading_order(terms, alpha)[method]
            ).max()
            for alpha in ALPHAS
        ]
        assert_second_order(errors)


def assert_exact_on_two_quadratics(found, hessians, gbars, alpha):
    (h1, h2), (g1, g2) = hessians, gbars
    np.testing.assert_allclose(found["FOMAML"], g2 - alpha * h2 @ g1, **EXACT)
    np.testing.assert_allclose(found["Reptile"], g1 + g2 - alpha * h2 @ g1, **EXACT)
    maml = g2 - alpha * h2 @ g1 - alpha * h1 @ g2
    np.testing.assert_allclose(found["MAML"], maml + alpha**2 * h1 @ h2 @ g1, **EXACT)
    assert np.abs(found["MAML"] - maml).max() > 1e-3


def test_t6_quadratics_two_steps_are_exact():
    (phi, loss, batches), hessians, gbars = quadratic(2)
    found = gradient_terms.directions(loss, phi, batches, 0.1)
    assert_exact_on_two_quadratics(found, hessians, gbars, 0.1)
    terms = gradient_terms.to_leading_order(gradient_terms.leading_terms(loss, phi, batches), 0.1)
    for method in ("FOMAML", "Reptile"):
        np.testing.assert_allclose(terms[method], found[method], **EXACT)


def test_t6_quadratics_two_steps_are_exact_in_the_zoos_classes():
    """Linear regression: gbar_i = 2/n X^T (X phi - y) and Hbar_i = 2/n X^T X with X = [x, 1]."""
    batches, alpha = regression_batches(2), 0.1
    phi = flat(linear_model("MAML", 1, alpha).network.trainable_variables)
    rows = [np.concatenate([x, np.ones((ROWS, 1))], axis=1) for x, _ in batches]
    hessians = [2 / ROWS * x.T @ x for x in rows]
    gbars = [2 / ROWS * x.T @ (x @ phi - y[:, 0]) for x, (_, y) in zip(rows, batches)]
    found = {method: direction(method, batches, alpha, linear_model) for method in METHODS}
    assert_exact_on_two_quadratics(found, hessians, gbars, alpha)


def test_t6_quadratics_three_steps_are_not_exact():
    """FOMAML's third gradient: the formula, plus alpha^2 Hbar_3 Hbar_2 gbar_1."""
    (phi, loss, batches), hessians, gbars = quadratic(3)
    terms = gradient_terms.leading_terms(loss, phi, batches)
    for alpha in ALPHAS:
        exact = gradient_terms.directions(loss, phi, batches, alpha)["FOMAML"]
        rest = exact - gradient_terms.to_leading_order(terms, alpha)["FOMAML"]
        np.testing.assert_allclose(rest, alpha**2 * hessians[2] @ hessians[1] @ gbars[0], rtol=1e-8)


@pytest.mark.parametrize("method, num_steps", [("MAML", 2), ("FOMAML", 2), ("Reptile", 3)])
def test_t7_expected_directions_of_the_zoos_classes(method, num_steps):
    """All ordered tuples of four minibatches, each tuple a task of one batch: its mean gradient is the expectation."""
    batches = classification_batches(4)
    phi, loss = gradient_terms.flat_problem(tanh_model(method, 1, 0.1))
    terms = gradient_terms.expected_terms(*gradient_terms.average_terms(loss, phi, tensors(batches)), num_steps)
    tuples = [list(chosen) for chosen in itertools.permutations(batches, num_steps)]
    inner_steps = num_steps if method == "Reptile" else 1
    errors = []
    for alpha in ALPHAS:
        mean = outer_gradient(tanh_model(method, inner_steps, alpha), tuples) / (alpha if method == "Reptile" else 1)
        errors.append(np.abs(mean - gradient_terms.to_leading_order(terms, alpha)[method]).max())
    assert_second_order(errors)


@pytest.mark.parametrize("num_steps", [2, 3, 4])
def test_t7_expected_directions_over_different_minibatches(num_steps):
    batches = tensors(classification_batches(4))
    phi, loss = gradient_terms.flat_problem(tanh_model("MAML", 1, 0.1))
    terms = gradient_terms.expected_terms(*gradient_terms.average_terms(loss, phi, batches), num_steps)
    errors = {method: [] for method in gradient_terms.METHODS}
    measure = tf.function(lambda alpha, chosen: gradient_terms.directions(loss, phi, chosen, alpha), autograph=False)
    for alpha in ALPHAS:
        found = [measure(tf.constant(alpha, tf.float64), c) for c in itertools.permutations(batches, num_steps)]
        for method, values in errors.items():
            mean = np.mean([one[method] for one in found], axis=0)
            values.append(np.abs(mean - gradient_terms.to_leading_order(terms, alpha)[method]).max())
    for values in errors.values():
        assert_second_order(values)


def test_t7_b_is_half_the_gradient_of_the_agreement():
    """By central differences, of inner products that plain Keras gradients give."""
    batches = classification_batches(3)
    model = tanh_model("MAML", 1, 0.1)
    phi, loss = gradient_terms.flat_problem(model)
    a, b = gradient_terms.average_terms(loss, phi, tensors(batches))

    def agreement(point):
        gradient_terms.assign_vector(model, tf.constant(point))
        gbars = [plain_sgd(model, [batch], alpha=0.0)[1][0] for batch in batches]
        gradient_terms.assign_vector(model, phi)
        return gbars, np.mean([g @ h for g, h in itertools.permutations(gbars, 2)])

    gbars, value = agreement(phi.numpy())
    np.testing.assert_allclose(a, np.mean(gbars, axis=0), **EXACT)
    np.testing.assert_allclose(gradient_terms.average_agreement(loss, phi, tensors(batches)), value, **EXACT)
    step = 1e-5
    quotients = [
        (agreement(phi + step * unit)[1] - agreement(phi - step * unit)[1]) / (2 * step) for unit in np.eye(len(phi))
    ]
    np.testing.assert_allclose(b, np.array(quotients) / 2, rtol=1e-6, atol=1e-9)


def test_t8_a_full_outer_step_ends_at_the_mean_of_the_tasks():
    tasks = [classification_batches(2, seed) for seed in range(3)]
    model = tanh_model("Reptile", 2, alpha=0.5)
    ends = [plain_sgd(model, batches, alpha=0.5)[0] for batches in tasks]
    model.compile(optimizer=keras.optimizers.SGD(1.0))
    x, y = episode(tasks, "Reptile")
    model.fit(x, y, batch_size=3, verbose=0)
    np.testing.assert_allclose(flat(model.network.trainable_variables), np.mean(ends, axis=0), **EXACT)
    assert np.abs(ends[0] - ends[1]).max() > 1e-2


def test_t9_solved_tasks_step_towards_their_manifold():
    """Two equations for three weights: SGD from phi ends at the projection P of phi on the solutions."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 2)), rng.standard_normal((2, 1))
    task = [(np.tile(x, (2, 1)), np.tile(y, (2, 1)))]  # ROWS rows that say the same twice
    model = linear_model("Reptile", 3000, alpha=0.1)
    phi = flat(model.network.trainable_variables)
    equations = np.concatenate([x, np.ones((2, 1))], axis=1)

    def project(point):
        return point + np.linalg.pinv(equations) @ (y[:, 0] - equations @ point)

    def half_squared_distance(point):
        return np.sum((point - project(point)) ** 2) / 2

    gradient = outer_gradient(model, [task])
    quotients = [
        (half_squared_distance(phi + 1e-5 * unit) - half_squared_distance(phi - 1e-5 * unit)) / 2e-5
        for unit in np.eye(3)
    ]
    np.testing.assert_allclose(gradient, quotients, rtol=1e-7, atol=1e-9)
    model.compile(optimizer=keras.optimizers.SGD(0.25))
    inputs, targets = episode([task], "Reptile")
    model.fit(inputs, targets, verbose=0)
    after = flat(model.network.trainable_variables)
    np.testing.assert_allclose(after, 0.75 * phi + 0.25 * project(phi), rtol=1e-8)
    assert np.abs(after - phi).max() > 1e-2


def test_t10_gap_between_maml_and_fomaml():
    """-alpha Hbar_1 gbar_2 + O(alpha^2), with the Hessian written out."""
    batches = classification_batches(2)
    phi, loss = gradient_terms.flat_problem(tanh_model("MAML", 1, 0.1))
    first, last = tensors(batches)
    gap = hessian_at(loss, phi, first) @ gradient_terms.gradient(loss, phi, last).numpy()
    errors = []
    for alpha in ALPHAS:
        found = direction("MAML", batches, alpha) - direction("FOMAML", batches, alpha)
        errors.append(np.abs(found + alpha * gap).max())
    assert_second_order(errors)


def test_t10_no_gap_where_losses_are_linear():
    """L = mean(y (w x + b)): no second derivative, so MAML and FOMAML step alike, and neither sees alpha."""

    def linear_loss(method):
        class LinearLoss(method):
            def support_loss(self, y, outputs, weights):
                return tf.reduce_mean(y * outputs)

            def task_loss(self, y, outputs):
                return tf.reduce_mean(y * outputs)

        return LinearLoss

    batches = regression_batches(2)
    gradients = []
    for method in ("MAML", "FOMAML"):
        model = linear_model(method, 1, alpha=0.5)
        changed = linear_loss(METHODS[method]).from_config(model.get_config())
        _, _, found = changed.compute_gradients(*episode([batches], method))
        gradients.append(flat(found))
    x, y = batches[1]
    np.testing.assert_allclose(gradients[0], [*(y * x).mean(axis=0), y.mean()], **EXACT)
    np.testing.assert_array_equal(gradients[0], gradients[1])


# ---- the parts


def test_one_minibatch_is_the_plain_gradient():
    batches = tensors(classification_batches(1))
    phi, loss = gradient_terms.flat_problem(tanh_model("MAML", 1, 0.1))
    plain = gradient_terms.gradient(loss, phi, batches[0])
    found = gradient_terms.directions(loss, phi, batches, 0.5)
    terms = gradient_terms.to_leading_order(gradient_terms.leading_terms(loss, phi, batches), 0.5)
    for method in gradient_terms.METHODS:
        np.testing.assert_array_equal(found[method], plain)
        np.testing.assert_array_equal(terms[method], plain)


def test_fused_norm_in_float32_agrees_with_float64():
    """The fused BatchNorm refuses a third derivative: none of the terms may need one."""
    results, weights = [], None
    for policy in ("float64", "float32"):
        set_precision(policy)
        backbone = zoo.backbones.strided_conv4(descriptors.IMAGE_SHAPE, filters=4)
        model = zoo.MAML(backbone, way=3)
        weights = weights or model.get_weights()
        model.set_weights(weights)
        x, _ = descriptors.episode(num_tasks=2)
        batches = [(tf.cast(x["support_x"][i], policy), x["support_y"][i]) for i in range(2)]
        phi, loss = gradient_terms.flat_problem(model)
        terms = gradient_terms.leading_terms(loss, phi, batches)
        exact = gradient_terms.directions(loss, phi, batches, 0.1)
        results.append([*exact.values(), *(slope for _, slope in terms.values())])
        assert phi.dtype == policy and not any("norm" in variable.path for variable in model.fast_variables())
    for one, other in zip(*results):
        np.testing.assert_allclose(other, one, rtol=1e-2, atol=1e-3 * np.abs(one).max())


def test_mean_over_tasks_by_hand():
    """Coordinates (1, 3) and (5, 5): variances 2 and 0 with n - 1 = 1, over two tasks."""
    mean, error = gradient_terms.mean_over_tasks(tf.constant([[1.0, 5.0], [3.0, 5.0]]))
    np.testing.assert_allclose(mean, [2, 5])
    np.testing.assert_allclose(error, 1.0)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
