"""LayerNormalization: the axes from `axis` on to zero mean and unit variance, then scaled.

Under encryption each element costs one lookup for its square and one for its logarithm, each row
two for its mean and its deviation; what is normalized and scaled lives in the decode. Channels of
different scales, as a dense layer has, cost one lookup more for each element.
"""

from __future__ import annotations

import math

import attrs
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
from cml_ops_builtin._shared.encrypted_normalizing import encrypted_standardized
from cml_ops_builtin._shared.normalizing import (
    inverse_root,
    standardized_rows,
    stash_dtype,
    stashed,
)


def _axes(x, axis):
    if not -x.ndim <= axis < x.ndim:
        raise AttributeValueError("axis", axis, f"an axis of a tensor of rank {x.ndim}")
    return tuple(range(axis % x.ndim, x.ndim))


def layer_normalization(x, scale, bias=None, *, axis, epsilon, stash_type):
    axes, wide = _axes(x, axis), stashed(x, stash_type)
    outer, inner = x.shape[: axes[0]], x.shape[axes[0] :]
    rows = wide.reshape(math.prod(outer), math.prod(inner))
    parameters = [None if p is None else _row(p, inner) for p in (scale, bias)]
    if wide.dtype != x.dtype or any(p is _WHOLE for p in parameters):
        y, mean, inverse = standardized_rows(rows, epsilon)
        y = y.reshape(x.shape).astype(x.dtype, copy=False) * scale
        if bias is not None:
            y = y + bias
    else:
        # Scaled row by row, while the rows are in a cache.
        y, mean, inverse = standardized_rows(rows, epsilon, *parameters)
        y = y.reshape(x.shape)
    kept = (*outer, *(1,) * len(inner))
    return y, mean.reshape(kept), inverse.reshape(kept)


#: Stands for parameters that differ from row to row.
_WHOLE = object()


def _row(parameter, inner):
    """Return a parameter as what is normalized has it, with one axis."""
    if parameter.shape == inner:
        return parameter.reshape(-1)
    if parameter.ndim > len(inner):
        return _WHOLE
    return np.broadcast_to(parameter, inner).reshape(-1)


class QuantizedLayerNormalization:
    """LayerNormalization with clear scale and bias."""

    def __call__(self, ctx: LoweringContext, x, scale, bias=None, *, axis, epsilon, stash_type):
        axes, stash = _axes(x, axis), stash_dtype(stash_type)
        if isinstance(scale, EncryptedTensor) or isinstance(bias, EncryptedTensor):
            ctx.refuse("its scale or bias is encrypted", "They must be constants of the model.")
        bias = np.zeros((), dtype=scale.dtype) if bias is None else bias
        y, mean, inverse = encrypted_standardized(ctx, x, axes, inverse_root(epsilon))
        y = elementwise(ctx, lambda value, s, b: value * s + b, y, scale, bias)
        statistics = (attrs.evolve(t, dtype=stash) for t in (mean, inverse))
        return (y, *statistics)


@hookimpl
def cml_op():
    x = np.array([[[1.0, 2.0, 6.0], [-1.0, 0.5, 3.0]]], dtype=np.float32)
    scale, bias = np.array([[1.0, -2.0, 0.5], [0.0, 0.5, 1.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("LayerNormalization", since_versions=(17,)),
        numpy_op=layer_normalization,
        quantized_op=QuantizedLayerNormalization(),
        tail=True,
        examples=(
            OpExample((x, scale, bias), tolerance=0.03, name="last axis"),
            OpExample(
                (x, np.stack([scale, bias])),
                {"axis": 1, "epsilon": 0.1},
                n_outputs=3,
                tolerance=0.07,
                name="two axes, without bias, with mean and deviation",
            ),
        ),
        restrictions="scale and bias must be clear",
    )
