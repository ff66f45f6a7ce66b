"""Acos: the arccosine in radians; NaN outside [-1, 1]."""

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


def acos(x):
    return (np.arccos(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Acos", since_versions=(7, 22), kind=OpKind.ELEMENTWISE),
        numpy_op=acos,
        quantized_op=ElementwiseQuantizedOp(acos),
        examples=(
            OpExample((np.array([[-0.9, -0.5, 0.0, 0.75]], dtype=np.float32),), tolerance=0.05),
        ),
    )
