"""What a contender's process does: it is told on stdin how many steps to take, and answers with seconds and losses."""

import json
import sys
import time


def serve(step, notes):
    """Takes a step and prints its loss, and what else the parent is told; then answers each line of stdin, a number of seconds.

    Args:
        step: function from the number of the batch to the loss, a float: it returns when the step is done.
        notes: function, called after the first step, that gives a dict.
    """
    answer(loss=step(0), started=time.time(), **notes())
    taken = 1
    for line in sys.stdin:
        seconds = []
        while not seconds or sum(seconds) < float(line):
            start = time.perf_counter()
            step(taken)
            seconds.append(time.perf_counter() - start)
            taken += 1
        answer(seconds=seconds)


def answer(**values):
    print(json.dumps(values), flush=True)


def fastest(function, repetitions=12):
    """Seconds of the fastest call."""
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


# The ceiling: a 64-channel 3x3 convolution and a matrix product, in floating point operations.
CONVOLUTION, MATRIX = (300, 14, 14, 64), 2048
CONVOLUTION_FLOP = 2 * 9 * 64 * CONVOLUTION[0] * CONVOLUTION[1] * CONVOLUTION[2] * CONVOLUTION[3]
MATRIX_FLOP = 2 * MATRIX**3


def answer_ceiling(convolve, multiply):
    """Prints the GFLOP/s of two functions that return when they are done."""
    answer(convolution=CONVOLUTION_FLOP / fastest(convolve) / 1e9, matrix=MATRIX_FLOP / fastest(multiply) / 1e9)


def products(images, kernel, out, parameters):
    """Products of a convolution whose factors are both values of its inputs, and not padding or holes.

    Args:
        images, kernel, out: shapes.
        parameters: of JAX's `conv_general_dilated`, as a dict.
    """
    specs = parameters["dimension_numbers"]
    total = out[specs.out_spec[0]] * out[specs.out_spec[1]] * kernel[specs.rhs_spec[1]]
    axes = zip(specs.lhs_spec[2:], specs.rhs_spec[2:], specs.out_spec[2:], strict=True)
    for number, (of_images, of_kernel, of_out) in enumerate(axes):
        stride, (before, _) = parameters["window_strides"][number], parameters["padding"][number]
        apart, reach = parameters["lhs_dilation"][number], parameters["rhs_dilation"][number]
        places = (
            position * stride + element * reach - before
            for position in range(out[of_out])
            for element in range(kernel[of_kernel])
        )
        total *= sum(0 <= place <= (images[of_images] - 1) * apart and place % apart == 0 for place in places)
    return total
