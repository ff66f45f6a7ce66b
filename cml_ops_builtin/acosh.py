"""Acosh: the inverse hyperbolic cosine; NaN below 1."""

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


def acosh(x):
    return (np.arccosh(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Acosh", since_versions=(9, 22), kind=OpKind.ELEMENTWISE),
        numpy_op=acosh,
        quantized_op=ElementwiseQuantizedOp(acosh),
        examples=(
            OpExample((np.array([[1.5, 2.0, 3.0, 5.0]], dtype=np.float32),), tolerance=0.05),
        ),
    )
