"""SwiGLU: a value times a gate, a * sigmoid(alpha * a) * b.

Under encryption it costs nothing if gate and value come from one register, or if one of them is
clear; else a lookup for the gate and what a product costs.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    elementwise,
    hookimpl,
    multiply,
)
from cml_ops_builtin._shared.precision import widened
from cml_ops_builtin._shared.sigmoid import sigmoid


def swi_glu(a, b, *, alpha):
    _check(a, b)
    return (_gated(widened(a), widened(b), alpha).astype(a.dtype, copy=False),)


def _gated(a, b, alpha):
    return a * sigmoid(alpha * a) * b


def _check(a, b):
    if tuple(a.shape) != tuple(b.shape):
        raise AttributeValueError("shape of B", tuple(b.shape), f"{tuple(a.shape)}, as A has")


def quantized_swi_glu(ctx: LoweringContext, a, b, *, alpha):
    _check(a, b)

    def combine(ctx, gate, value):
        return multiply(ctx, elementwise(ctx, lambda v: v * sigmoid(alpha * v), gate), value)

    return (elementwise(ctx, lambda p, q: _gated(p, q, alpha), a, b, combine=combine),)


@hookimpl
def cml_op():
    a = np.array([[-2.0, -0.5, 0.0, 1.5]], dtype=np.float32)
    b = np.array([[1.0, -2.0, 0.5, 1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("SwiGLU", since_versions=(28,), kind=OpKind.ELEMENTWISE),
        numpy_op=swi_glu,
        quantized_op=quantized_swi_glu,
        examples=(
            OpExample((a, b), name="encrypted gate"),
            OpExample((a, b), {"alpha": 2.0}, encrypted=(1,), name="encrypted value, other alpha"),
            OpExample((a, b), encrypted=(0, 1), n_bits=3, tolerance=0.16, name="both encrypted"),
        ),
    )
