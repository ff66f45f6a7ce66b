"""BatchNormalization in inference: every channel scaled and shifted by what training found.

Under encryption it composes onto the decode of what it normalizes, so it costs nothing.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    elementwise,
    hookimpl,
)


def _parameters(x, parameters, spatial, training_mode):
    """Bring parameters of shape (C,), or (C, D1, …) if not spatial, to a shape that broadcasts."""
    if training_mode:
        raise AttributeValueError("training_mode", training_mode, "0, as models are only run here")
    if not spatial or len(x.shape) < 2:
        return parameters
    return tuple(p.reshape(-1, *(1,) * (len(x.shape) - 2)) for p in parameters)


def _normalize(x, scale, bias, mean, var, epsilon):
    factor = scale / np.sqrt(var + np.asarray(epsilon, dtype=var.dtype))
    return ((x - mean) * factor + bias).astype(x.dtype, copy=False)


def batch_normalization(
    x, scale, bias, mean, var, *, epsilon, momentum, spatial=1, training_mode=0
):
    parameters = _parameters(x, (scale, bias, mean, var), spatial, training_mode)
    return (_normalize(x, *parameters, epsilon),)


class QuantizedBatchNormalization:
    """BatchNormalization with clear parameters."""

    def __call__(
        self,
        ctx: LoweringContext,
        x,
        scale,
        bias,
        mean,
        var,
        *,
        epsilon,
        momentum,
        spatial=1,
        training_mode=0,
    ):
        parameters = (scale, bias, mean, var)
        if any(isinstance(p, EncryptedTensor) for p in parameters):
            ctx.refuse("its parameters are encrypted", "They must be constants of the model.")
        parameters = _parameters(x, parameters, spatial, training_mode)

        def normalize(x, *parameters):
            return _normalize(x, *parameters, epsilon)

        return (elementwise(ctx, normalize, x, *parameters),)


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
            "BatchNormalization", since_versions=(7, 9, 14, 15), kind=OpKind.ELEMENTWISE
        ),
        numpy_op=batch_normalization,
        quantized_op=QuantizedBatchNormalization(),
        examples=(
            OpExample((x, *parameters(3)), name="images"),
            OpExample((x[:, :, 0, 0], *parameters(3)), {"epsilon": 0.1}, name="features"),
            OpExample(
                (x[:, :, 0], scale, bias, mean, var),
                {"spatial": 0},
                outputs=(scale * (x[:, :, 0] - mean) / np.sqrt(var + np.float32(1e-5)) + bias,),
                opset=7,
                name="one parameter for each element",
            ),
        ),
        restrictions="inference only; scale, B, mean and var must be clear",
    )
