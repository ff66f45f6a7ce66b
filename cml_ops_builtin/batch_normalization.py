"""BatchNormalization in inference: every channel scaled and shifted by what training found.

Under encryption it composes onto the decode of what it normalizes, so it costs nothing. Encrypted
parameters are subtracted, multiplied and added as any encrypted numbers are.
"""

from __future__ import annotations

import functools

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    add,
    elementwise,
    hookimpl,
    multiply,
    subtract,
)
from cml_ops_builtin._shared.matrices import reshaped


def _parameters(x, parameters, spatial, training_mode, shaped=np.reshape):
    """Bring parameters of shape (C,), or (C, D1, …) if not spatial, to a shape that broadcasts."""
    if training_mode:
        raise AttributeValueError("training_mode", training_mode, "0, as models are only run here")
    if not spatial or len(x.shape) < 2:
        return parameters
    return tuple(shaped(p, (p.shape[0], *(1,) * (len(x.shape) - 2))) for p in parameters)


def _normalize(x, scale, bias, mean, var, epsilon):
    factor = scale / np.sqrt(var + np.asarray(epsilon, dtype=var.dtype))
    return ((x - mean) * factor + bias).astype(x.dtype, copy=False)


def batch_normalization(
    x, scale, bias, mean, var, *, epsilon, momentum, spatial=1, training_mode=0
):
    parameters = _parameters(x, (scale, bias, mean, var), spatial, training_mode)
    return (_normalize(x, *parameters, epsilon),)


class QuantizedBatchNormalization:
    """BatchNormalization; products of encrypted numbers only where its parameters are encrypted."""

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
            shaped = functools.partial(reshaped, ctx)
            parameters = _parameters(x, parameters, spatial, training_mode, shaped)
            return (_with_encrypted(ctx, x, *parameters, epsilon),)
        parameters = _parameters(x, parameters, spatial, training_mode)

        def normalize(x, *parameters):
            return _normalize(x, *parameters, epsilon)

        return (elementwise(ctx, normalize, x, *parameters),)


def _either(ctx, on_encrypted, on_clear, a, b):
    encrypted = isinstance(a, EncryptedTensor) or isinstance(b, EncryptedTensor)
    return on_encrypted(ctx, a, b) if encrypted else on_clear(a, b)


def _with_encrypted(ctx, x, scale, bias, mean, var, epsilon):
    def inverse(value):
        return 1 / np.sqrt(np.maximum(value, 0) + np.asarray(epsilon, dtype=value.dtype))

    encrypted = isinstance(var, EncryptedTensor)
    factor = elementwise(ctx, inverse, var) if encrypted else inverse(var)
    factor = _either(ctx, multiply, np.multiply, scale, factor)
    y = _either(ctx, multiply, np.multiply, _either(ctx, subtract, np.subtract, x, mean), factor)
    return _either(ctx, add, np.add, y, bias)


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
        ),
        restrictions="inference only",
    )
