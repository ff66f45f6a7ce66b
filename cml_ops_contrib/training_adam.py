"""Adam: one step of training by running means of gradients and of their squares.

Both means start at zero, which the rate makes up for (Kingma and Ba, 2014).
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_contrib._shared.training_steps import DOMAIN, optimized


def adam(rate, count, *tensors, alpha, beta, epsilon, norm_coefficient, norm_coefficient_post):
    def step(rate, count, x, gradient, mean, squares):
        slope = norm_coefficient * x + gradient
        mean = alpha * mean + (1 - alpha) * slope
        squares = beta * squares + (1 - beta) * slope * slope
        if count > 0:
            rate *= float(np.sqrt(1 - beta**count) / np.float64(1 - alpha**count))
        x = x - rate * mean / (np.sqrt(squares) + epsilon)
        return (1 - norm_coefficient_post) * x, mean, squares

    kinds = ("X", "gradients", "mean gradients", "mean squared gradients")
    return optimized(step, rate, count, tensors, kinds)


@hookimpl
def cml_op():
    x, gradient = np.float32([1.0, -2.0]), np.float32([-0.5, 1.5])
    mean, squares = np.float32([0.25, 0.5]), np.float32([2.0, 1.0])
    settings = {"norm_coefficient": 0.01, "norm_coefficient_post": 0.1, "beta": 0.95}
    rate = np.float32(0.1)
    return OpPlugin(
        schema=OpSchema("Adam", since_versions=(1,), domain=DOMAIN),
        numpy_op=adam,
        examples=(
            OpExample(
                (rate, np.array(3), x, gradient, mean, squares),
                settings,
                (
                    np.float32([0.88403606, -1.8728646]),
                    np.float32([0.176, 0.598]),
                    np.float32([1.912005, 1.05952]),
                ),
                encrypted=(),
                n_outputs=3,
                name="one tensor",
            ),
            OpExample(
                (
                    rate,
                    np.array(0),
                    *(t for tensor in (x, gradient, mean, squares) for t in (tensor, tensor[:1])),
                ),
                outputs=tuple(
                    t
                    for new in ([0.9876202, -2.0599625], [0.175, 0.6], [1.99825, 1.00125])
                    for t in (np.float32(new), np.float32(new[:1]))
                ),
                encrypted=(),
                n_outputs=6,
                name="two tensors, first step",
            ),
        ),
    )
