"""What the gradients of MAML, FOMAML and Reptile are made of.

Nichol, Achiam, Schulman: On First-Order Meta-Learning Algorithms, 2018, https://arxiv.org/abs/1803.02999, section 5.

A task is k minibatches with losses L_1 .. L_k. Plain SGD steps of size alpha go from phi_1 = phi:

    phi_{i+1} = phi_i - alpha g_i,    g_i = L_i'(phi_i),    gbar_i = L_i'(phi),    Hbar_i = L_i''(phi)

Exact directions, for an outer step against them:

    g_MAML    = d L_k(phi_k) / d phi = (I - alpha L_1''(phi_1)) .. (I - alpha L_{k-1}''(phi_{k-1})) g_k
    g_FOMAML  = g_k
    g_Reptile = (phi - phi_{k+1}) / alpha = g_1 + .. + g_k

To leading order, each with an error of O(alpha^2):

    g_MAML    = gbar_k - alpha (Hbar_k sum_{j<k} gbar_j + sum_{j<k} Hbar_j gbar_k)
    g_FOMAML  = gbar_k - alpha Hbar_k sum_{j<k} gbar_j
    g_Reptile = sum_i gbar_i - alpha sum_i Hbar_i sum_{j<i} gbar_j

Over minibatches in any order two terms remain: A = E gbar_1, the direction of joint training (the paper's AvgGrad), and
B = E Hbar_2 gbar_1 = 1/2 d E[gbar_1 . gbar_2] / d phi (AvgGradInner). A step against -B makes the gradients of different
minibatches of a task agree:

    E g_MAML = A - 2(k-1) alpha B,    E g_FOMAML = A - (k-1) alpha B,    E g_Reptile = k A - k(k-1)/2 alpha B

Below, phi is a vector [P]; `loss(phi, batch)` is a scalar, twice differentiable in phi; `batches` is a list of k minibatches,
different data in each: on the same data B would be the gradient of |gbar|^2 / 2 instead. A direction to leading order is a
pair (constant, slope) that stands for constant - alpha * slope.
"""

import tensorflow as tf

METHODS = ("MAML", "FOMAML", "Reptile")


def flat_problem(model):
    """The weights and the loss of a `FastWeightsModel` as functions of one vector.

    Args:
        model: its `fast_variables` are phi; weights that its inner loop does not change are constants.

    Returns:
        `(phi, loss)`: the present weights [P], and `loss(phi, (x, y))`, the model's training loss on a minibatch without
        padding, x [rows, *input_shape] and y [rows] (regression: [rows, target_size]).
    """
    theta = model.initial_weights()
    sizes = [value.shape.num_elements() for value in theta.values()]

    def loss(phi, batch):
        x, y = batch
        parts = zip(theta.items(), tf.split(phi, sizes))
        weights = {path: tf.reshape(part, value.shape) for (path, value), part in parts}
        outputs = model.network_outputs(weights, x, training=True)
        return model.support_loss(y, outputs, tf.ones(tf.shape(y)[:1], outputs.dtype))

    return tf.concat([tf.reshape(value, [-1]) for value in theta.values()], axis=0), loss


def assign_vector(model, phi):
    """Sets the `fast_variables` of a model to a vector from `flat_problem`."""
    variables = model.fast_variables()
    for variable, part in zip(variables, tf.split(phi, [variable.shape.num_elements() for variable in variables])):
        variable.assign(tf.reshape(part, variable.shape))


def gradient(loss, phi, batch):
    """L'(phi): [P]."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(phi)
        value = loss(phi, batch)
    return tape.gradient(value, phi)


def hessian_product(loss, phi, batch, vector):
    """L''(phi) v: [P], as the gradient of L'(phi) . v."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(phi)
        product = tf.tensordot(gradient(loss, phi, batch), tf.stop_gradient(vector), 1)
    return tape.gradient(product, phi, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def inner_loop(loss, phi, batches, alpha):
    """k steps of SGD: ([phi_1 .. phi_{k+1}], [g_1 .. g_k])."""
    points, gradients = [phi], []
    for batch in batches:
        gradients.append(gradient(loss, points[-1], batch))
        points.append(points[-1] - alpha * gradients[-1])
    return points, gradients


def directions(loss, phi, batches, alpha):
    """The exact directions [P], by method.

    Reptile's is the sum of the g_i: phi - phi_{k+1} over alpha, but with all its digits however small alpha is.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(phi)
        points, gradients = inner_loop(loss, phi, batches[:-1], alpha)
        last_loss = loss(points[-1], batches[-1])
    maml = tape.gradient(last_loss, phi)
    last_gradient = gradient(loss, points[-1], batches[-1])
    return {"MAML": maml, "FOMAML": last_gradient, "Reptile": tf.add_n([*gradients, last_gradient])}


def leading_terms(loss, phi, batches):
    """The directions to leading order: (constant, slope) by method."""
    gbars = [gradient(loss, phi, batch) for batch in batches]
    sums = [tf.zeros_like(phi)]  # sums[i] = gbar_1 + .. + gbar_i
    for gbar in gbars:
        sums.append(sums[-1] + gbar)
    later_by_earlier = [hessian_product(loss, phi, batch, before) for batch, before in zip(batches[1:], sums[1:])]
    earlier_by_last = [hessian_product(loss, phi, batch, gbars[-1]) for batch in batches[:-1]]
    fomaml = later_by_earlier[-1] if later_by_earlier else tf.zeros_like(phi)
    return {
        "MAML": (gbars[-1], tf.add_n([fomaml, *earlier_by_last])),
        "FOMAML": (gbars[-1], fomaml),
        "Reptile": (sums[-1], tf.add_n([tf.zeros_like(phi), *later_by_earlier])),
    }


def average_terms(loss, phi, batches):
    """(A, B) of one task: means of gbar_i, and of Hbar_i gbar_j over all ordered pairs of different minibatches."""
    gbars = [gradient(loss, phi, batch) for batch in batches]
    total, count = tf.add_n(gbars), len(batches)
    products = [hessian_product(loss, phi, batch, total - gbar) for batch, gbar in zip(batches, gbars)]
    return total / count, tf.add_n(products) / (count * (count - 1))


def average_agreement(loss, phi, batches):
    """Mean of gbar_i . gbar_j over all pairs of different minibatches of one task; B is half its gradient."""
    gbars = tf.stack([gradient(loss, phi, batch) for batch in batches])
    products = tf.matmul(gbars, gbars, transpose_b=True)
    count = len(batches)
    return (tf.reduce_sum(products) - tf.linalg.trace(products)) / (count * (count - 1))


def expected_terms(average_gradient, average_inner, num_steps):
    """The expected directions to leading order from A and B: (constant, slope) by method."""
    k, a, b = num_steps, average_gradient, average_inner
    return {"MAML": (a, 2 * (k - 1) * b), "FOMAML": (a, (k - 1) * b), "Reptile": (k * a, k * (k - 1) / 2 * b)}


def to_leading_order(terms, alpha):
    """The directions [P] by method that (constant, slope) pairs stand for."""
    return {method: constant - alpha * slope for method, (constant, slope) in terms.items()}


def mean_over_tasks(vectors):
    """(mean [P], length of its standard error) of one vector per task, [T, P] with T at least 2.

    The squared length of the mean is too large by the square of that length, in expectation.
    """
    variance = tf.math.reduce_variance(vectors, axis=0)
    return tf.reduce_mean(vectors, axis=0), tf.sqrt(tf.reduce_sum(variance) / (len(vectors) - 1))
