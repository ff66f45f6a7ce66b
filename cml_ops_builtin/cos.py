"""Cos: the cosine of each element, in radians."""

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


def cos(x):
    return (np.cos(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Cos", since_versions=(7, 22), kind=OpKind.ELEMENTWISE),
        numpy_op=cos,
        quantized_op=ElementwiseQuantizedOp(cos),
        examples=(
            OpExample((np.array([[-1.5, -0.5, 0.0, 1.0]], dtype=np.float32),), tolerance=0.01),
        ),
    )
