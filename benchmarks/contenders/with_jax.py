"""JAX's steps, jitted: python -m benchmarks.contenders.with_jax ROW map|vmap, or ceiling in the place of both."""

import math
import sys

import jax
import jax.extend.core
import jax.numpy as jnp

from benchmarks import rows
from benchmarks.contenders import child, data, steps


class Library:
    """The ops of `steps`, on images NHWC."""

    def __init__(self, variant):
        self.variant = variant

    gradient = staticmethod(jax.grad)
    value_and_gradient = staticmethod(jax.value_and_grad)
    map = staticmethod(jax.tree.map)
    leaves = staticmethod(jax.tree.leaves)
    relu = staticmethod(jax.nn.relu)
    constant = staticmethod(jax.lax.stop_gradient)
    scalar = staticmethod(jnp.float32)

    sigmoid = staticmethod(jax.nn.sigmoid)
    tanh = staticmethod(jnp.tanh)
    softmax = staticmethod(jax.nn.softmax)
    log_softmax = staticmethod(jax.nn.log_softmax)
    one_hot = staticmethod(jax.nn.one_hot)
    log = staticmethod(jnp.log)
    sign = staticmethod(jnp.sign)
    where = staticmethod(jnp.where)
    maximum = staticmethod(jnp.maximum)
    clip = staticmethod(jnp.clip)
    flip = staticmethod(jnp.flipud)
    scan = staticmethod(jax.lax.scan)
    join = staticmethod(jnp.concatenate)
    full = staticmethod(jnp.full)

    @staticmethod
    def per_row(function, shared, *rows):
        """`function(shared, *row)` of each row, stacked: one after the other, since each has kernels of its own."""
        return jax.lax.map(lambda row: function(shared, *row), rows)

    @staticmethod
    def whole(function):
        """A function of all tasks."""
        return function

    @staticmethod
    def argsort(values):
        return jnp.argsort(values, stable=True)

    @staticmethod
    def rebuilt(tree, leaves):
        """The tree with these leaves in place of its own."""
        return jax.tree.unflatten(jax.tree.structure(tree), leaves)

    @staticmethod
    def convolution(x, kernel, stride):
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    @staticmethod
    def batch_norm(x, gamma, beta):
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return (x - mean) * (gamma * jax.lax.rsqrt(variance + 1e-3)) + beta

    @staticmethod
    def max_pool(x):
        # Not the maximum of a reshaped map: compiled, its gradient compares values that were rounded differently.
        window = (1, 2, 2, 1)
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")

    @staticmethod
    def pool_up(x):
        """Max-pool whose windows at the far edges may stand out."""
        window = (1, 2, 2, 1)
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "SAME")

    @staticmethod
    def average_pool(x):
        batch, height, width, channels = x.shape
        return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean((2, 4))

    @staticmethod
    def flatten(x):
        return x.reshape(x.shape[0], -1)

    @staticmethod
    def cross_entropy(logits, labels):
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1).mean()

    def over_tasks(self, function):
        """The mean over tasks of `function(shared, task)`."""

        def mapped(shared, tasks):
            if self.variant == "vmap":
                results = jax.vmap(function, in_axes=(None, 0))(shared, tasks)
            else:
                results = jax.lax.map(lambda task: function(shared, task), tasks)
            return jax.tree.map(lambda values: values.mean(0), results)

        return mapped


def flop(jaxpr):
    """Floating point operations of the convolutions and matrix products of a jaxpr, those of loops as often as they run.

    Without products with padding or holes, of which the derivatives of a gradient for a kernel have hundreds to one.
    """
    total = 0
    for equation in jaxpr.eqns:
        parameters, out = equation.params, equation.outvars[0].aval if equation.outvars else None
        if equation.primitive.name == "conv_general_dilated":
            total += 2 * child.products(*(value.aval.shape for value in equation.invars), out.shape, parameters)
        elif equation.primitive.name == "dot_general":
            (contracted, _), _ = parameters["dimension_numbers"]
            total += 2 * out.size * math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
        times = parameters.get("length", 1) if equation.primitive.name == "scan" else 1
        total += times * sum(flop(inner) for inner in _inner(parameters))
    return total


def _inner(parameters):
    for value in jax.tree.leaves(list(parameters.values())):
        if isinstance(value, jax.extend.core.ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, jax.extend.core.Jaxpr):
            yield value


def main(name, variant=None):
    if name == "ceiling":
        images, kernel = jnp.ones(child.CONVOLUTION), jnp.ones((3, 3, 64, 64))
        matrix = jnp.ones((child.MATRIX, child.MATRIX))
        convolve, multiply = jax.jit(lambda x, k: Library.convolution(x, k, 1)), jax.jit(jnp.matmul)
        child.answer_ceiling(
            lambda: convolve(images, kernel).block_until_ready(), lambda: multiply(matrix, matrix).block_until_ready()
        )
        return
    row = rows.ROWS[name]
    step, start = steps.build(Library(variant), row)
    weights = jax.tree.map(jnp.asarray, data.weights(row))
    batches = [tuple(jnp.asarray(values) for values in batch) for batch in data.batches(row)]
    state = [weights, start(weights)]
    jitted = jax.jit(step)

    def take(number):
        *state[:], loss = jitted(*state, batches[number % len(batches)])
        jax.block_until_ready(state)
        return float(loss)

    counted = flop(jax.make_jaxpr(step)(*state, batches[0]).jaxpr)
    child.serve(take, lambda: {"gradient": steps.first_gradient_norm(Library, row, state[1]), "flop": counted})


if __name__ == "__main__":
    main(*sys.argv[1:])
