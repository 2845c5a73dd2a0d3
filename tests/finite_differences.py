"""Gradients against difference quotients, in float64."""

import numpy as np


def check_gradients(step, variables, gradients, shift=1e-6, **tolerance):
    """Each gradient along a random direction, against the central difference quotient of `step()`, a scalar."""
    rng = np.random.default_rng(0)
    for variable, gradient in zip(variables, gradients):
        direction = rng.standard_normal(variable.shape)
        values = []
        for sign in (1, -1):
            variable.assign_add(sign * shift * direction)
            values.append(float(step()))
            variable.assign_add(-sign * shift * direction)
        quotient = (values[0] - values[1]) / (2 * shift)
        np.testing.assert_allclose(np.sum(gradient * direction), quotient, err_msg=variable.path, **tolerance)
