"""Cosh: the hyperbolic cosine."""

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


def cosh(x):
    return (np.cosh(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Cosh", since_versions=(9, 22), kind=OpKind.ELEMENTWISE),
        numpy_op=cosh,
        quantized_op=ElementwiseQuantizedOp(cosh),
        examples=(
            OpExample((np.array([[-2.0, -0.5, 0.0, 1.0]], dtype=np.float32),), tolerance=0.05),
        ),
    )
