"""Atanh: the inverse hyperbolic tangent; infinite at -1 and 1, NaN beyond."""

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


def atanh(x):
    return (np.arctanh(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Atanh", since_versions=(9, 22), kind=OpKind.ELEMENTWISE),
        numpy_op=atanh,
        quantized_op=ElementwiseQuantizedOp(atanh),
        examples=(
            OpExample((np.array([[-0.8, -0.25, 0.0, 0.5]], dtype=np.float32),), tolerance=0.05),
        ),
    )
