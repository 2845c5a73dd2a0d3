"""Small float64 problems for the identities of gradients, and how the zoo's classes are asked for theirs."""

import keras
import numpy as np
import tensorflow as tf

import zoo

METHODS = {"MAML": zoo.MAML, "FOMAML": zoo.FOMAML, "Reptile": zoo.Reptile}
ROWS = 4  # of a minibatch


def tanh_model(method, num_steps, alpha, seed=0):
    """A smooth classifier of 31 weights whose inner loop takes the first `num_steps` minibatches of the support rows."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((3,))
    backbone = keras.Model(inputs, keras.layers.Dense(4, "tanh", bias_initializer="glorot_uniform")(inputs))
    return METHODS[method](backbone, way=3, num_inner_steps=num_steps, inner_learning_rate=alpha, **reptile(method))


def linear_model(method, num_steps, alpha):
    """y = w x + b on two inputs: mean squared error is a quadratic in the weights."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((2,))
    backbone = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    options = dict(num_inner_steps=num_steps, inner_learning_rate=alpha, **reptile(method))
    return METHODS[method](backbone, target_size=1, **options)


def reptile(method):
    return dict(inner_optimizer="sgd", inner_batch=ROWS) if method == "Reptile" else {}


def classification_batches(count, seed=0):
    """Minibatches [(x, y)] of one task, with every class in each: queries may not ask for a class without support."""
    rng = np.random.default_rng(seed)
    return [(rng.standard_normal((ROWS, 3)), rng.permutation(np.arange(ROWS) % 3)) for _ in range(count)]


def regression_batches(count, seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.standard_normal((ROWS, 2)), rng.standard_normal((ROWS, 1))) for _ in range(count)]


def tensors(batches):
    return [(tf.constant(x), tf.constant(y)) for x, y in batches]


def episode(tasks, method):
    """Tasks, each a list of minibatches, in the wire format. MAML and FOMAML ask about the last minibatch."""
    x = np.stack([np.concatenate([x for x, _ in batches]) for batches in tasks])
    y = np.stack([np.concatenate([y for _, y in batches]) for batches in tasks])
    support = x.shape[1] if method == "Reptile" else x.shape[1] - ROWS
    inputs = {"support_x": x[:, :support], "support_y": y[:, :support], "query_x": x[:, -ROWS:]}
    return {name: tf.constant(value) for name, value in inputs.items()}, tf.constant(y[:, -ROWS:])


def flat(values):
    return np.concatenate([np.asarray(value).ravel() for value in values])


def outer_gradient(model, tasks):
    """What the zoo's class hands to its outer optimizer for these tasks: [P]."""
    name = next(name for name, method in METHODS.items() if type(model) is method)
    _, _, gradients = tf.function(model.compute_gradients, autograph=False)(*episode(tasks, name))
    by_path = {variable.path: gradient for variable, gradient in zip(model.trainable_variables, gradients)}
    return flat(by_path[variable.path] for variable in model.network.trainable_variables)


def direction(method, batches, alpha, build=tanh_model):
    """The zoo's direction for one task of k minibatches; MAML and FOMAML for k = 2, where the zoo's inner data is one."""
    if method == "Reptile":
        return outer_gradient(build(method, len(batches), alpha), [batches]) / alpha
    assert len(batches) == 2
    return outer_gradient(build(method, 1, alpha), [batches])


def plain_sgd(model, batches, alpha):
    """(phi_{k+1}, [g_1 .. g_k]) by ordinary Keras training of the network itself; its weights are put back after it."""
    variables = model.network.trainable_variables
    start = [variable.numpy() for variable in variables]
    loss_function = (
        keras.losses.MeanSquaredError()
        if model.target_size
        else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    gradients = []
    for x, y in batches:
        with tf.GradientTape() as tape:
            loss = loss_function(y, model.network(x))
        step = tape.gradient(loss, variables)
        gradients.append(flat(step))
        for variable, value in zip(variables, step):
            variable.assign_sub(alpha * value)
    end = flat(variables)
    for variable, value in zip(variables, start):
        variable.assign(value)
    return end, gradients


def quadratic(count, size=5, seed=0):
    """k losses 1/2 phi H phi - c phi as (phi, loss, batches), and NumPy's Hbar_i and gbar_i."""
    rng = np.random.default_rng(seed)
    halves = rng.standard_normal((count, size, size))
    hessians, linear = halves @ halves.transpose(0, 2, 1), rng.standard_normal((count, size))
    phi = rng.standard_normal(size)

    def loss(phi, batch):
        hessian, c = batch
        return tf.tensordot(phi, tf.linalg.matvec(hessian, phi), 1) / 2 - tf.tensordot(c, phi, 1)

    batches = [(tf.constant(hessian), tf.constant(c)) for hessian, c in zip(hessians, linear)]
    return (tf.constant(phi), loss, batches), hessians, hessians @ phi - linear
