"""Sinh: the hyperbolic sine."""

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


def sinh(x):
    return (np.sinh(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Sinh", since_versions=(9, 22), kind=OpKind.ELEMENTWISE),
        numpy_op=sinh,
        quantized_op=ElementwiseQuantizedOp(sinh),
        examples=(
            OpExample((np.array([[-2.0, -0.5, 0.0, 1.0]], dtype=np.float32),), tolerance=0.05),
        ),
    )
