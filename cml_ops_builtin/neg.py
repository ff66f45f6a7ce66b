"""Neg: each element with the other sign."""

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


def neg(x):
    return (np.negative(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Neg", since_versions=(6, 13), kind=OpKind.ELEMENTWISE),
        numpy_op=neg,
        quantized_op=ElementwiseQuantizedOp(neg),
        examples=(
            OpExample(
                (np.array([[-1.5, -0.25, 0.0, 2.0]], dtype=np.float32),),
                tolerance=0.05,
                lookups=0,
                name="floats",
            ),
            OpExample(
                (np.array([[-7, -1, 0, 5]], dtype=np.int32),), tolerance=0.01, name="integers"
            ),
        ),
    )
