"""Exp: the exponential function, e to the power of each element."""

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


def exp(x):
    return (np.exp(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Exp", since_versions=(6, 13), kind=OpKind.ELEMENTWISE),
        numpy_op=exp,
        quantized_op=ElementwiseQuantizedOp(exp),
        examples=(
            OpExample((np.array([[-2.0, -0.5, 0.0, 1.0]], dtype=np.float32),), tolerance=0.05),
        ),
    )
