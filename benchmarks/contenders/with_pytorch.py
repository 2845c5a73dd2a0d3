"""PyTorch's steps: python -m benchmarks.contenders.with_pytorch ROW func|vmap|compile, or ceiling in the place of both."""

import sys

import torch
import torch.nn.functional as F
from torch.utils import _pytree as pytree

from benchmarks import rows
from benchmarks.contenders import child, data, steps

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Library:
    """The ops of `steps`, on images NCHW, channels last in memory."""

    def __init__(self, variant):
        self.variant = variant

    gradient = staticmethod(torch.func.grad)
    map = staticmethod(pytree.tree_map)
    leaves = staticmethod(pytree.tree_leaves)
    relu = staticmethod(F.relu)
    cross_entropy = staticmethod(F.cross_entropy)

    @staticmethod
    def value_and_gradient(function):
        both = torch.func.grad_and_value(function)

        def swapped(*arguments):
            slopes, value = both(*arguments)
            return value, slopes

        return swapped

    @staticmethod
    def constant(value):
        return value.detach()

    @staticmethod
    def scalar(value):
        return torch.tensor(value, device=DEVICE)

    sigmoid = staticmethod(torch.sigmoid)
    tanh = staticmethod(torch.tanh)
    log = staticmethod(torch.log)
    sign = staticmethod(torch.sign)
    where = staticmethod(torch.where)
    maximum = staticmethod(torch.clamp_min)
    clip = staticmethod(torch.clamp)
    flip = staticmethod(torch.flipud)
    join = staticmethod(torch.cat)

    @staticmethod
    def full(shape, value):
        return torch.full(shape, value, device=DEVICE)

    @staticmethod
    def softmax(values):
        return F.softmax(values, -1)

    @staticmethod
    def log_softmax(values):
        return F.log_softmax(values, -1)

    @staticmethod
    def one_hot(labels, size):
        return F.one_hot(labels, size).float()

    @staticmethod
    def argsort(values):
        return torch.argsort(values, stable=True)

    @staticmethod
    def scan(step, state, inputs):
        outputs = []
        for row in inputs:
            state, output = step(state, row)
            outputs.append(output)
        return state, torch.stack(outputs)

    @staticmethod
    def rebuilt(tree, leaves):
        """The tree with these leaves in place of its own."""
        return pytree.tree_unflatten(leaves, pytree.tree_structure(tree))

    @staticmethod
    def convolution(x, kernel, stride):
        if stride == 1:
            return F.conv2d(x, kernel, padding=1)
        pads = [(1, 1) if size % 2 else (0, 1) for size in (x.shape[3], x.shape[2])]  # TensorFlow's "same"
        return F.conv2d(F.pad(x, [*pads[0], *pads[1]]), kernel, stride=stride)

    @staticmethod
    def batch_norm(x, gamma, beta):
        return F.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-3)

    @staticmethod
    def max_pool(x):
        return F.max_pool2d(x, 2)

    @staticmethod
    def pool_up(x):
        """Max-pool whose windows at the far edges may stand out."""
        return F.max_pool2d(x, 2, ceil_mode=True)

    @staticmethod
    def average_pool(x):
        return F.avg_pool2d(x, 2)

    @staticmethod
    def flatten(x):
        return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1)

    @staticmethod
    def per_row(function, shared, *rows):
        """`function(shared, *row)` of each row, stacked: one after the other, since each has kernels of its own."""
        results = [function(shared, *row) for row in zip(*rows)]
        return pytree.tree_map(lambda *values: torch.stack(values), *results)

    def whole(self, function):
        """A function of all tasks."""
        return torch.compile(function) if self.variant == "compile" else function

    def over_tasks(self, function):
        """The mean over tasks of `function(shared, task)`."""
        if self.variant == "vmap":
            mapped = torch.func.vmap(function, in_dims=(None, 0))
            return lambda shared, tasks: pytree.tree_map(lambda v: v.mean(0), mapped(shared, tasks))
        one = torch.compile(function) if self.variant == "compile" else function

        def loop(shared, tasks):
            results = [one(shared, task) for task in zip(*tasks)]
            return pytree.tree_map(lambda *values: sum(values) / len(values), *results)

        return loop


def _tensor(values):
    tensor = torch.tensor(values, device=DEVICE)
    if tensor.ndim == 5:  # images [T, rows, H, W, C]
        return tensor.permute(0, 1, 4, 2, 3)
    return tensor.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def _wait():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def main(name, variant=None):
    if name == "ceiling":
        images = torch.rand(child.CONVOLUTION[0], 64, *child.CONVOLUTION[1:3], device=DEVICE)
        images = images.contiguous(memory_format=torch.channels_last)
        kernel = torch.rand(64, 64, 3, 3, device=DEVICE).contiguous(memory_format=torch.channels_last)
        matrix = torch.rand(child.MATRIX, child.MATRIX, device=DEVICE)
        with torch.no_grad():
            child.answer_ceiling(
                lambda: (F.conv2d(images, kernel, padding=1), _wait()), lambda: (matrix @ matrix, _wait())
            )
        return
    row = rows.ROWS[name]
    step, start = steps.build(Library(variant), row)
    weights = pytree.tree_map(_tensor, data.weights(row))
    batches = [tuple(_tensor(values) for values in batch) for batch in data.batches(row)]
    state = [weights, start(weights)]

    def take(number):
        *state[:], loss = step(*state, batches[number % len(batches)])
        return float(loss)

    child.serve(take, lambda: {"gradient": steps.first_gradient_norm(Library, row, state[1])})


if __name__ == "__main__":
    main(*sys.argv[1:])
