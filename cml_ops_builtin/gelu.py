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
from cml_ops_builtin._shared.erf import erf
from cml_ops_builtin._shared.precision import widened


def gelu(x, *, approximate):
    wide = widened(x)
    if approximate == "none":
        gate = 1.0 + erf(wide / math.sqrt(2.0))
    elif approximate == "tanh":
        gate = 1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (wide + 0.044715 * wide**3))
    else:
        raise AttributeValueError("approximate", approximate, "'none' or 'tanh'")
    return ((0.5 * wide * gate).astype(x.dtype, copy=False),)


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
