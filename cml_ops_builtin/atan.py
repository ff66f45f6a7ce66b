"""Atan: the arctangent in radians."""

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


def atan(x):
    return (np.arctan(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Atan", since_versions=(7, 22), kind=OpKind.ELEMENTWISE),
        numpy_op=atan,
        quantized_op=ElementwiseQuantizedOp(atan),
        examples=(
            OpExample((np.array([[-3.0, -0.5, 0.0, 1.0]], dtype=np.float32),), tolerance=0.05),
        ),
    )
