"""BiasGelu: Gelu of the sum of a tensor and a bias."""

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

from .gelu import gelu


def bias_gelu(a, b):
    """Return Gelu of a + b; the bias runs along the last axis."""
    return gelu(a + b)


@hookimpl
def cml_op():
    """BiasGelu of com.microsoft."""
    a = np.float32([[-3, -1, 0], [0.5, 1, 2]])
    b = np.float32([0, 1, -2])
    y = np.float32([[-0.00404969, 0, -0.04550026], [0.34573123, 1.95449974, 0]])
    return OpPlugin(
        schema=OpSchema("BiasGelu", (1,), OpKind.ELEMENTWISE, domain="com.microsoft"),
        numpy_op=bias_gelu,
        quantized_op=ElementwiseQuantizedOp(bias_gelu),
        examples=(OpExample((a, b), outputs=(y,), lookups=6, max_bits=4),),
    )
