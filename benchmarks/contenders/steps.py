"""The training steps as a user of PyTorch or JAX writes them, once for both: `lib` names the ops, see `with_pytorch` and `with_jax`.

Weights and gradients are trees, a task is (support x, support y, query x, query y). Every function is pure.
"""

import functools

from benchmarks.contenders import learned_updates, networks, recurrent

ADAM = {"learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}  # as Keras


def maml(lib, row):
    """The loss of the queries of one task after k steps on its support set."""
    options, method = row["options"], row["method"]

    def descend(loss, fast):
        for _ in range(options["num_inner_steps"]):
            slopes = lib.gradient(loss)(fast)
            slopes = lib.map(lib.constant, slopes) if method == "FOMAML" else slopes
            fast = lib.map(lambda weight, slope: weight - options["inner_learning_rate"] * slope, fast, slopes)
        return fast

    def network(weights, fast, x):  # gamma and beta are not adapted
        kernels, head = fast
        blocks = [(kernel, *block[1:]) for kernel, block in zip(kernels, weights["blocks"])]
        return networks.logits(lib, networks.embed(lib, row["network"], blocks, x), head)

    def task_loss(weights, task):
        x, y, query_x, query_y = task
        if method == "ANIL":
            features = networks.embed(lib, row["network"], weights["blocks"], x)
            head = descend(lambda head: lib.cross_entropy(networks.logits(lib, features, head), y), weights["head"])
            query = networks.embed(lib, row["network"], weights["blocks"], query_x)
            return lib.cross_entropy(networks.logits(lib, query, head), query_y)
        fast = [block[0] for block in weights["blocks"]], weights["head"]
        fast = descend(lambda fast: lib.cross_entropy(network(weights, fast, x), y), fast)
        return lib.cross_entropy(network(weights, fast, query_x), query_y)

    return task_loss


def prototypical(lib, row):
    """The loss of the queries of one task by squared distances to the means of the classes; one embedding of all images."""
    size = row["shot"] * row["way"]

    def task_loss(weights, task):
        x, _, query_x, query_y = task
        features = networks.embed(lib, row["network"], weights["blocks"], lib.join([x, query_x], 0))
        prototypes = features[:size].reshape(row["shot"], row["way"], -1).mean(0)  # rows are sorted shot by shot
        queries, dimensions = features[size:], features.shape[-1]
        squares = (queries**2).sum(-1)[:, None] + (prototypes**2).sum(-1) - 2 * queries @ prototypes.T
        return lib.cross_entropy(-squares * min(1.0, (64 / dimensions) ** 1.5), query_y)

    return task_loss


# Losses of one task, and of all tasks at once.
LOSSES = {
    "MAML": maml,
    "FOMAML": maml,
    "ANIL": maml,
    "PrototypicalNetwork": prototypical,
    "LSTMMetaLearner": learned_updates.lstm_meta_learner,
    "MetaNetwork": learned_updates.meta_network,
}
BATCH_LOSSES = {"FullContextMatchingNetwork": recurrent.full_context, "MANN": recurrent.mann}


def reptile(lib, row):
    """A whole step: (weights, state, loss) of a batch of tasks, moved to the mean of the tasks' weights."""
    options = row["options"]
    size, num_steps, num_rows = options["inner_batch"], options["num_inner_steps"], row["shot"] * row["way"]

    def loss_of(weights, x, y):
        return lib.cross_entropy(
            networks.logits(lib, networks.embed(lib, row["network"], weights["blocks"], x), weights["head"]), y
        )

    def moved(num_updates, weight, slope, moment):
        correction = (1 - 0.999**num_updates) ** 0.5
        return weight - options["inner_learning_rate"] * correction * slope / (moment**0.5 + 1e-8)

    def one_task(shared, task):
        phi, moments, count = shared
        x, y, query_x, query_y = task
        for step in range(num_steps):
            first = step * size % num_rows
            slopes = lib.gradient(loss_of)(phi, x[first : first + size], y[first : first + size])
            moments = lib.map(lambda moment, slope: 0.999 * moment + 0.001 * slope**2, moments, slopes)
            phi = lib.map(functools.partial(moved, count + step + 1), phi, slopes, moments)
        return phi, moments, loss_of(phi, query_x, query_y)

    over_tasks = lib.over_tasks(one_task)

    def step(weights, state, batch):
        moments, count = state
        weights, moments, loss = over_tasks((weights, moments, count), batch)
        return weights, (moments, count + num_steps), loss

    return step, lambda weights: (lib.map(lambda w: 0 * w, weights), lib.scalar(0.0))


def by_adam(lib, row):
    """A whole step: the mean gradient over tasks, then Adam."""
    if row["method"] in BATCH_LOSSES:
        over_tasks = lib.whole(lib.value_and_gradient(BATCH_LOSSES[row["method"]](lib, row)))
    else:
        over_tasks = lib.over_tasks(lib.value_and_gradient(LOSSES[row["method"]](lib, row)))
    beta_1, beta_2 = ADAM["beta_1"], ADAM["beta_2"]

    def step(weights, state, batch):
        first, second, count = state
        loss, slopes = over_tasks(weights, batch)
        count = count + 1
        rate = ADAM["learning_rate"] * (1 - beta_2**count) ** 0.5 / (1 - beta_1**count)
        first = lib.map(lambda m, s: beta_1 * m + (1 - beta_1) * s, first, slopes)
        second = lib.map(lambda m, s: beta_2 * m + (1 - beta_2) * s**2, second, slopes)
        weights = lib.map(lambda w, m, v: w - rate * m / (v**0.5 + ADAM["epsilon"]), weights, first, second)
        return weights, (first, second, count), loss

    def start(weights):
        return lib.map(lambda w: 0 * w, weights), lib.map(lambda w: 0 * w, weights), lib.scalar(0.0)

    return step, start


def evaluation(lib, row):
    """A whole step that leaves weights as they are: the mean loss over tasks."""
    over_tasks = lib.over_tasks(LOSSES[row["method"]](lib, row))
    return lambda weights, state, batch: (weights, state, over_tasks(weights, batch)), lambda weights: ()


def build(lib, row):
    """`(step, start)`: step(weights, state, batch) -> (weights, state, loss), start(weights) -> state."""
    if row["evaluated"]:
        return evaluation(lib, row)
    return reptile(lib, row) if row["method"] == "Reptile" else by_adam(lib, row)


def has_gradient(row):
    """Whether a step of the row follows a gradient: Reptile's does not, and an evaluation takes none."""
    return row["method"] != "Reptile" and not row["evaluated"]


def first_gradient_norm(lib, row, state):
    """The norm of the gradient of Adam's first step, out of its first moments; None where no step has one."""
    if not has_gradient(row):
        return None
    squares = [float((moment**2).sum()) for moment in lib.leaves(state[0])]
    return sum(squares) ** 0.5 / (1 - ADAM["beta_1"])
