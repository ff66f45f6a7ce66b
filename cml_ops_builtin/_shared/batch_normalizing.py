"""Batch normalization in inference, of clear and of encrypted arrays."""

from __future__ import annotations

import functools

import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    LoweringContext,
    add,
    elementwise,
    multiply,
    subtract,
)
from cml_ops_builtin._shared.matrices import reshaped
from cml_ops_builtin._shared.precision import widened

__all__ = ["batch_normalized", "batch_normalized_encrypted"]


def batch_normalized(x, scale, bias, mean, var, *, epsilon, spatial=1):
    """Scale and shift every channel, or with parameters (C, D1, …) every element."""
    parameters = [widened(p) for p in (scale, bias, mean, var)]
    y = _normalize(widened(x), *_broadcast(x, parameters, spatial), epsilon)
    return y.astype(x.dtype, copy=False)


def batch_normalized_encrypted(
    ctx: LoweringContext, x, scale, bias, mean, var, *, epsilon, spatial=1
) -> EncryptedTensor:
    """Compose it onto the decode of x; products only where its parameters are encrypted."""
    parameters = (scale, bias, mean, var)
    if any(isinstance(p, EncryptedTensor) for p in parameters):
        shaped = functools.partial(reshaped, ctx)
        return _with_encrypted(ctx, x, *_broadcast(x, parameters, spatial, shaped), epsilon)

    def normalize(x, *parameters):
        return _normalize(x, *parameters, epsilon)

    return elementwise(ctx, normalize, x, *_broadcast(x, parameters, spatial))


def _broadcast(x, parameters, spatial, shaped=np.reshape):
    """Bring parameters of shape (C,), or (C, D1, …) if not spatial, to a shape that broadcasts."""
    if not spatial or len(x.shape) < 2:
        return parameters
    return tuple(shaped(p, (p.shape[0], *(1,) * (len(x.shape) - 2))) for p in parameters)


def _normalize(x, scale, bias, mean, var, epsilon):
    factor = scale / np.sqrt(var + np.asarray(epsilon, dtype=var.dtype))
    return ((x - mean) * factor + bias).astype(x.dtype, copy=False)


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
