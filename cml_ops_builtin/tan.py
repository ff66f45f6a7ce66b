"""Tan: the tangent of each element, in radians."""

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


def tan(x):
    return (np.tan(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Tan", since_versions=(7, 22), kind=OpKind.ELEMENTWISE),
        numpy_op=tan,
        quantized_op=ElementwiseQuantizedOp(tan),
        examples=(OpExample((np.array([[-1.0, -0.5, 0.0, 1.0]], dtype=np.float32),)),),
    )
