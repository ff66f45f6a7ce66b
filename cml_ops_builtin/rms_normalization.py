"""RMSNormalization: the axes from `axis` on divided by their root mean square, then scaled.

Under encryption each element costs one lookup for its square and one for its logarithm, each row
one for its root mean square; the quotient and the scale live in the decode.
"""

from __future__ import annotations

import math

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    elementwise,
    hookimpl,
)
from cml_ops_builtin._shared.encrypted_normalizing import divided_by_power
from cml_ops_builtin._shared.normalizing import inverse_root, stash_dtype, stashed
from cml_ops_builtin._shared.reductions import means


def _axes(x, axis):
    if not -x.ndim <= axis < x.ndim:
        raise AttributeValueError("axis", axis, f"an axis of a tensor of rank {x.ndim}")
    return tuple(range(axis % x.ndim, x.ndim))


def rms_normalization(x, scale, *, axis, epsilon, stash_type):
    wide = stashed(x, stash_type)
    root = np.asarray(means(np.square(wide), _axes(x, axis), keepdims=True))
    np.sqrt(np.add(root, np.asarray(epsilon, dtype=wide.dtype), out=root), out=root)
    normalized = (wide / root).astype(x.dtype, copy=False)
    out = normalized if np.result_type(normalized, scale) == normalized.dtype else None
    return (np.multiply(normalized, scale, out=out).astype(scale.dtype, copy=False),)


class QuantizedRMSNormalization:
    """RMSNormalization with a clear scale."""

    def __call__(self, ctx: LoweringContext, x, scale, *, axis, epsilon, stash_type):
        axes = _axes(x, axis)
        stash_dtype(stash_type)
        if isinstance(scale, EncryptedTensor):
            ctx.refuse("its scale is encrypted", "It must be a constant of the model.")
        count = math.prod(x.shape[axis] for axis in axes)
        inverse = inverse_root(epsilon)
        y = divided_by_power(ctx, x, 2, axes, lambda total: inverse(total / count))
        return (elementwise(ctx, lambda value, s: (value * s).astype(s.dtype), y, scale),)


@hookimpl
def cml_op():
    x = np.array([[[1.0, 2.0, 6.0], [-1.0, 0.5, 3.0]]], dtype=np.float32)
    scale = np.array([1.0, -2.0, 0.5], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("RMSNormalization", since_versions=(23,)),
        numpy_op=rms_normalization,
        quantized_op=QuantizedRMSNormalization(),
        tail=True,
        examples=(
            OpExample((x, scale), tolerance=0.04, name="last axis"),
            OpExample((x, scale), {"axis": 1, "epsilon": 0.1}, tolerance=0.04, name="two axes"),
        ),
        restrictions="scale must be clear",
    )
