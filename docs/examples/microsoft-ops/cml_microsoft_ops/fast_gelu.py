"""FastGelu: Gelu with tanh in place of erf, of a tensor or of its sum with a bias."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    ElementwiseQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)


def fast_gelu(x, bias=None):
    """Return 0.5 * z * (1 + tanh(sqrt(2 / pi) * (z + 0.044715 * z**3))), z = x + bias."""
    z = x if bias is None else x + bias
    inner = np.sqrt(2 / np.pi) * (z + 0.044715 * z * z * z)
    return ((0.5 * z * (1 + np.tanh(inner))).astype(x.dtype, copy=False),)


@hookimpl
def cml_op():
    """FastGelu of com.microsoft."""
    x = np.float32([[-3, -1, 0], [0.5, 1, 2]])
    bias = np.float32([0, 1, -2])
    y = np.float32([[-0.00363739, -0.15880801, 0], [0.34571401, 0.84119199, 1.9545977]])
    biased = np.float32([[-0.00363739, 0, -0.0454023], [0.34571401, 1.9545977, 0]])
    return OpPlugin(
        schema=OpSchema("FastGelu", (1,), OpKind.ELEMENTWISE, domain="com.microsoft"),
        numpy_op=fast_gelu,
        quantized_op=ElementwiseQuantizedOp(fast_gelu),
        examples=(
            OpExample((x,), outputs=(y,), lookups=6, max_bits=4),
            OpExample((x, bias), outputs=(biased,), lookups=6, max_bits=4, name="with a bias"),
        ),
    )
