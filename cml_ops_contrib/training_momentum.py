"""Momentum: one step of training along a running sum of gradients, plain or as Nesterov has it."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_contrib._shared.training_steps import DOMAIN, optimized


def momentum(rate, count, *tensors, alpha, beta, mode, norm_coefficient):
    if mode not in ("standard", "nesterov"):
        raise AttributeValueError("mode", mode, "standard or nesterov")

    def step(rate, count, x, gradient, gathered):
        slope = norm_coefficient * x + gradient
        # The first step takes the gradient whole.
        gathered = alpha * gathered + (beta if count > 0 else 1) * slope
        ahead = slope + alpha * gathered if mode == "nesterov" else gathered
        return x - rate * ahead, gathered

    return optimized(step, rate, count, tensors, ("X", "gradients", "momenta"))


@hookimpl
def cml_op():
    x, gradient, gathered = np.float32([1.0, -2.0]), np.float32([-0.5, 1.5]), np.float32([2.0, 1.0])
    settings = {"norm_coefficient": 0.01, "alpha": 0.95, "beta": 0.85}
    rate = np.float32(0.1)
    return OpPlugin(
        schema=OpSchema("Momentum", since_versions=(1,), domain=DOMAIN),
        numpy_op=momentum,
        examples=(
            OpExample(
                (rate, np.array(3), x, gradient, gathered),
                {**settings, "mode": "standard"},
                (np.float32([0.85165, -2.2208]), np.float32([1.4835, 2.208])),
                encrypted=(),
                n_outputs=2,
                name="one tensor",
            ),
            OpExample(
                (rate, np.array(0), x, x[:1], gradient, gradient[:1], gathered, gathered[:1]),
                {**settings, "mode": "nesterov"},
                tuple(
                    t
                    for new in ([0.91505, -2.37885], [1.41, 2.43])
                    for t in (np.float32(new), np.float32(new[:1]))
                ),
                encrypted=(),
                n_outputs=4,
                name="two tensors, first step, Nesterov",
            ),
        ),
    )
