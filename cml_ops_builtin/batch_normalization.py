"""BatchNormalization: every channel scaled and shifted by what training found, or finds.

In training (from opset 14), by the mean and the variance of the batch, which also go into the
running ones. Under encryption it composes onto the decode of what it normalizes, so it costs
nothing. Encrypted parameters are subtracted, multiplied and added as any encrypted numbers are.
"""

from __future__ import annotations

import math

import numpy as np

from cml_core.plugin_api import (
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.batch_normalizing import batch_normalized, batch_normalized_encrypted
from cml_ops_builtin._shared.precision import widened


def batch_normalization(
    x, scale, bias, mean, var, *, epsilon, momentum, n_outputs, spatial=1, training_mode=0
):
    if training_mode:
        return _in_training(x, scale, bias, mean, var, epsilon, momentum)
    if n_outputs > 1:
        raise ValueError(
            "outputs beside Y are for training, which asks for opset 14 and training_mode 1"
        )
    return (batch_normalized(x, scale, bias, mean, var, epsilon=epsilon, spatial=spatial),)


def _in_training(x, scale, bias, mean, var, epsilon, momentum):
    """Normalize by the mean and the variance of this batch, and bring the running ones nearer."""
    wide, axes = widened(x), (0, *range(2, x.ndim))
    count = np.float64(math.prod(x.shape[axis] for axis in axes))
    here = np.sum(wide, axis=axes, dtype=np.float64, keepdims=True) / count
    spread = np.sum((wide - here) ** 2, axis=axes, keepdims=True) / count
    # A row of numbers is one channel.
    now = [value.reshape(-1).astype(wide.dtype) for value in (here, spread)]
    y = batch_normalized(wide, widened(scale), widened(bias), *now, epsilon=epsilon)
    running = [
        (widened(before) * momentum + after * (1 - momentum)).astype(before.dtype)
        for before, after in zip((mean, var), now, strict=True)
    ]
    return y.astype(x.dtype, copy=False), *running


def quantized_batch_normalization(
    ctx: LoweringContext, *tensors, epsilon, momentum, n_outputs, spatial=1, training_mode=0
):
    if training_mode or n_outputs > 1:
        ctx.refuse("it is in training mode", "Export the model for inference.")
    return (batch_normalized_encrypted(ctx, *tensors, epsilon=epsilon, spatial=spatial),)


@hookimpl
def cml_op():
    rng = np.random.default_rng(0)

    def parameters(*shape):
        scale, bias, mean = rng.normal(size=(3, *shape)).astype(np.float32)
        return scale, bias, mean, rng.uniform(0.5, 2.0, shape).astype(np.float32)

    x = rng.normal(size=(1, 3, 2, 2)).astype(np.float32)
    scale, bias, mean, var = parameters(3, 2)
    return OpPlugin(
        schema=OpSchema(
            "BatchNormalization",
            since_versions=(7, 9, 14, 15),
            kind=OpKind.ELEMENTWISE,
            counts_outputs=True,
        ),
        numpy_op=batch_normalization,
        quantized_op=quantized_batch_normalization,
        examples=(
            OpExample((x, *parameters(3)), tolerance=0.02, lookups=0, name="images"),
            OpExample(
                (x[:, :, 0, 0], *parameters(3)), {"epsilon": 0.1}, tolerance=0.02, name="features"
            ),
            OpExample(
                (x[:, :, 0], scale, bias, mean, var),
                {"spatial": 0},
                outputs=(scale * (x[:, :, 0] - mean) / np.sqrt(var + np.float32(1e-5)) + bias,),
                opset=7,
                tolerance=0.02,
                name="one parameter for each element",
            ),
            OpExample(
                (x[:, :, 0], *parameters(3)),
                encrypted=(0, 2, 3, 4),
                tolerance=0.06,
                name="encrypted",
            ),
            OpExample(
                (np.concatenate([x, 2 * x]), *parameters(3)),
                {"training_mode": 1, "momentum": 0.75},
                encrypted=(),
                n_outputs=3,
                name="in training",
            ),
        ),
        restrictions="inference only",
    )
