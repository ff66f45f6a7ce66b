"""Adagrad: one step of training in which each element has a rate of its own.

The rate falls with the sum of its squared gradients (Duchi, Hazan and Singer, 2011).
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_contrib._shared.training_steps import DOMAIN, optimized


def adagrad(rate, count, *tensors, norm_coefficient, decay_factor, epsilon):
    def step(rate, count, x, gradient, squares):
        slope = norm_coefficient * x + gradient
        squares = squares + slope * slope
        slower = rate / (1 + count * decay_factor)
        return x - slower * slope / (np.sqrt(squares) + epsilon), squares

    return optimized(step, rate, count, tensors, ("X", "gradients", "squared gradients"))


@hookimpl
def cml_op():
    x, gradient, squares = np.float32([1.0, -2.0]), np.float32([-0.5, 1.5]), np.float32([2.0, 1.0])
    settings = {"norm_coefficient": 0.01, "epsilon": 1e-5, "decay_factor": 0.1}
    rate, count = np.float32(0.1), np.array(3)
    return OpPlugin(
        schema=OpSchema("Adagrad", since_versions=(1,), domain=DOMAIN),
        numpy_op=adagrad,
        examples=(
            OpExample(
                (rate, count, x, gradient, squares),
                settings,
                (np.float32([1.0251836, -2.0637372]), np.float32([2.2401, 3.1904])),
                encrypted=(),
                n_outputs=2,
                name="one tensor",
            ),
            OpExample(
                (rate, count, x, x[:1], gradient, gradient[:1], squares, squares[:1]),
                outputs=tuple(
                    t
                    for new in ([1.0333333, -2.083205], [2.25, 3.25])
                    for t in (np.float32(new), np.float32(new[:1]))
                ),
                encrypted=(),
                n_outputs=4,
                name="two tensors",
            ),
        ),
    )
