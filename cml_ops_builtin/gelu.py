"""Gelu: x * (1 + erf(x / sqrt(2))) / 2, or its approximation by a hyperbolic tangent."""

from __future__ import annotations

import math

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    ElementwiseQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.blocks import blockwise, numbers
from cml_ops_builtin._shared.erf import erf_into
from cml_ops_builtin._shared.precision import widened


def gelu(x, *, approximate):
    if approximate not in _FORMS:
        raise AttributeValueError("approximate", approximate, "'none' or 'tanh'")
    return (blockwise(_FORMS[approximate], widened(x)).astype(x.dtype, copy=False),)


def _exact(x, out, room):
    erf_into(x, out, room, math.sqrt(0.5))
    _weighted(x, out)


def _approximate(x, out, room):
    linear, cubic = numbers(x.dtype, math.sqrt(2 / math.pi), 0.044715 * math.sqrt(2 / math.pi))
    np.multiply(x, x, out)
    np.multiply(out, cubic, out)
    np.add(out, linear, out)
    np.multiply(out, x, out)
    np.tanh(out, out)
    _weighted(x, out)


def _weighted(x, gate):
    """Put (1 + gate) / 2 * x in the gate's place; twice the largest x would be infinite."""
    one, half = numbers(x.dtype, 1.0, 0.5)
    np.add(gate, one, gate)
    np.multiply(gate, half, gate)
    np.multiply(gate, x, gate)


_FORMS = {"none": _exact, "tanh": _approximate}


@hookimpl
def cml_op():
    x = np.array([[-2.0, -0.5, 0.0, 1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Gelu", since_versions=(20,), kind=OpKind.ELEMENTWISE),
        numpy_op=gelu,
        quantized_op=ElementwiseQuantizedOp(gelu),
        examples=(
            OpExample((x,), name="exact"),
            OpExample((x,), {"approximate": "tanh"}, name="tanh"),
        ),
    )
