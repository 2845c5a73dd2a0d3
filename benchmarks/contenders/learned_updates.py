"""The steps of methods that learn how weights are changed, for one task, as a user of PyTorch or JAX writes them.

`lib` is that of `steps`.
"""

import itertools
import math

from benchmarks.contenders import networks
from benchmarks.contenders.recurrent import lstm, quarters


def lstm_meta_learner(lib, row):
    """The query loss of one task under theta_T: 20 units, p = 10; gradients and losses are constants."""
    num_steps, p, units = row["options"]["num_inner_steps"], 10.0, 20

    def preprocess(x):  # [P] -> [2, P]
        size, threshold = abs(x), math.exp(-p)
        logs = lib.where(size >= threshold, lib.log(lib.maximum(size, threshold)) / p, -1.0)
        return lib.join([logs[None], lib.where(size >= threshold, lib.sign(x), x / threshold)[None]], 0)

    def task_loss(weights, task):
        x, y, query_x, query_y = task
        more, learner = weights["more"], {"blocks": weights["blocks"], "head": weights["head"]}

        def loss_of(theta, x, y):
            own = lib.rebuilt(learner, _split(theta, lib.leaves(learner)))
            return lib.cross_entropy(
                networks.logits(lib, networks.embed(lib, row["network"], own["blocks"], x), own["head"]), y
            )

        theta = lib.join([leaf.reshape(-1) for leaf in lib.leaves(learner)], 0)
        h = c = 0 * lib.join([theta[None]] * units, 0)
        f = i = 0 * theta
        for _ in range(num_steps):
            loss, slope = map(lib.constant, lib.value_and_gradient(loss_of)(lib.constant(theta), x, y))
            inputs = lib.join([preprocess(0 * theta + loss), preprocess(slope), h], 0)
            gates = more["kernel"].T @ inputs + more["bias"][:, None]
            h, c = lstm(lib, *quarters(gates, 0), c)
            features = lib.join([h, theta[None]], 0)
            f, i = (
                lib.sigmoid((more[f"w_{name}"].T @ lib.join([features, before[None]], 0))[0] + more[f"b_{name}"])
                for name, before in (("f", f), ("i", i))
            )
            theta = f * theta - i * slope
        return loss_of(theta, query_x, query_y)

    return task_loss


def meta_network(lib, row):
    """The query loss of one task, one chunk per support row."""

    def run(convolve, dense, x):
        """(hidden layer before its ReLU, logits) where `convolve(layer, h)` and `dense(layer, h)` are the layers."""
        for layer in range(5):
            x = lib.pool_up(convolve(layer, x))
        hidden = dense(5, lib.flatten(x))
        return hidden, lambda: dense(6, lib.relu(hidden))

    def slow(kernels):
        return (
            lambda layer, h: lib.relu(lib.convolution(h, kernels[layer], 1)),
            lambda layer, h: h @ kernels[layer],
        )

    def row_loss(kernels, x, y):
        return lib.cross_entropy(run(*slow(kernels), x[None])[1](), y[None])

    def features(kernels, x, y):
        """Gradients of each row, those of convolutions and the others, as features: two of [2, rows, P]."""
        slopes = lib.map(lib.constant, lib.per_row(lib.gradient(row_loss), kernels, x, y))
        flat = [slope.reshape(x.shape[0], -1) for slope in slopes]
        return [_features(lib, lib.join(part, 1)) for part in (flat[:5], flat[5:])]

    def task_learner(more, inputs):
        kernel, recurrent, bias, out, out_bias = more
        h = c = 0.0
        for chunk in range(inputs.shape[1]):
            gates = kernel.T @ inputs[:, chunk] + bias + (recurrent.T @ h if chunk else 0.0)
            i, f, u, o = quarters(gates, 0)
            h, c = lstm(lib, i, f, o, u, c)
        return (out.T @ h + out_bias)[0]

    def row_learner(more, inputs):
        kernels, biases = more[:3], more[3:]
        h = inputs.reshape(2, -1)
        for kernel, bias in zip(kernels[:2], biases[:2]):
            h = lib.relu(kernel.T @ h + bias)
        return (kernels[2].T @ h + biases[2]).reshape(inputs.shape[1:])

    def both(slow_kernels, fast_kernels, dense):
        def convolve(layer, h):
            one, other = (lib.relu(lib.convolution(h, k[layer], 1)) for k in (slow_kernels, fast_kernels))
            return one + other

        return convolve, dense

    def task_loss(weights, task):
        x, y, query_x, query_y = task
        more = weights["more"]
        base, key = list(more["base"]), [*more["key"], lib.constant(more["key_head"])]
        conv, dense = features(key, x, y)
        dense = dense[..., : math.prod(key[5].shape)]  # a key does not see the last layer
        fast = lib.join([task_learner(more["conv_task"], conv), task_learner(more["dense_task"], dense)], 0)
        fast_key = _split(fast, key[:6])
        conv, dense = features(base, x, y)
        memory = lib.join([row_learner(more["conv_row"], conv), row_learner(more["dense_row"], dense)], 1)

        def keys_of(images):
            return run(*both(key, fast_key, lambda layer, h: h @ (key[layer] + fast_key[layer])), images)[0]

        keys, asked = keys_of(x), keys_of(query_x)
        squares = (asked**2).sum(-1)[:, None] * (keys**2).sum(-1)
        own = lib.softmax(asked @ keys.T * (squares + 1e-6) ** -0.5) @ memory  # [Q, P]

        def answer(base, fast, image, label):
            fast = _split(fast, base)

            def layer_of(layer, h):
                if layer == 6:
                    return h @ (base[6] + fast[6])
                return lib.relu(h @ base[5]) + lib.relu(h @ fast[5])

            return lib.cross_entropy(run(*both(base, fast, layer_of), image[None])[1](), label[None])

        return lib.per_row(answer, base, own, query_x, query_y).mean()

    return task_loss


def _split(flat, like):
    """A vector as parts of the shapes of others."""
    ends = list(itertools.accumulate(math.prod(other.shape) for other in like))
    return [flat[start:end].reshape(other.shape) for start, end, other in zip([0, *ends], ends, like)]


def _features(lib, slopes):
    """[max(log|g| / 7, -1), clip(e^7 g, -1, 1)]: [rows, P] -> [2, rows, P]."""
    logs = lib.maximum(lib.log(abs(slopes) + 1e-8) / 7, -1.0)
    return lib.join([logs[None], lib.clip(slopes * math.exp(7), -1.0, 1.0)[None]], 0)
