"""BiasAdd: the sum of a tensor, a bias and a residual."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpKind, OpPlugin, OpSchema, hookimpl


def bias_add(x, bias, skip):
    """Return x + bias + skip."""
    return (x + bias + skip,)


def body(writer, x, bias, skip):
    """Write it as two sums."""
    return (writer.add("Add", writer.add("Add", x, bias), skip),)


@hookimpl
def cml_op():
    """BiasAdd of com.microsoft, of diffusion models."""
    x = np.float32([[[1, -2, 0.5], [2, 0, -1]]])
    bias = np.float32([1, 0, -1])
    y = np.float32([[[3, -4, 0], [5, 0, -3]]])
    return OpPlugin(
        schema=OpSchema("BiasAdd", (1,), OpKind.ELEMENTWISE, domain="com.microsoft"),
        numpy_op=bias_add,
        body=body,
        examples=(
            OpExample((x, bias, x), outputs=(y,), lookups=0, name="a clear residual"),
            OpExample((x, bias, x), outputs=(y,), encrypted=(0, 2), lookups=0),
        ),
    )
