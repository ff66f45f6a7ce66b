"""Sqrt: the square root; NaN for negative elements."""

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


def sqrt(x):
    return (np.sqrt(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Sqrt", since_versions=(6, 13), kind=OpKind.ELEMENTWISE),
        numpy_op=sqrt,
        quantized_op=ElementwiseQuantizedOp(sqrt),
        examples=(
            OpExample((np.array([[0.25, 1.0, 2.0, 4.0]], dtype=np.float32),), tolerance=0.01),
        ),
    )
