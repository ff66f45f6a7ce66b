"""Asinh: the inverse hyperbolic sine."""

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


def asinh(x):
    return (np.arcsinh(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Asinh", since_versions=(9, 22), kind=OpKind.ELEMENTWISE),
        numpy_op=asinh,
        quantized_op=ElementwiseQuantizedOp(asinh),
        examples=(
            OpExample((np.array([[-3.0, -0.5, 0.0, 1.0]], dtype=np.float32),), tolerance=0.05),
        ),
    )
