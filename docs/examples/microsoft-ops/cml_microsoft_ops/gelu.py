"""Gelu: x * Phi(x), with Phi the normal distribution's cumulative function."""

from __future__ import annotations

import numpy as np
from scipy.special import erf

from cml_core.plugin_api import (
    ElementwiseQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)


def gelu(x):
    """Return x weighted by the share of a normal distribution that is below it."""
    return ((0.5 * x * (1 + erf(x / np.sqrt(2)))).astype(x.dtype),)


@hookimpl
def cml_op():
    """Gelu of com.microsoft; ai.onnx has it from opset 20 on, under the same name."""
    x = np.float32([[-3, -1, 0, 0.5, 2]])
    y = np.float32([[-0.00404969, -0.15865526, 0, 0.34573123, 1.95449974]])
    return OpPlugin(
        schema=OpSchema("Gelu", (1,), OpKind.ELEMENTWISE, domain="com.microsoft"),
        numpy_op=gelu,
        quantized_op=ElementwiseQuantizedOp(gelu),
        examples=(OpExample((x,), outputs=(y,), lookups=5, max_bits=4),),
    )
