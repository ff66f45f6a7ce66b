"""Abs: the absolute value of each element."""

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


def abs_(x):
    return (np.abs(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Abs", since_versions=(6, 13), kind=OpKind.ELEMENTWISE),
        numpy_op=abs_,
        quantized_op=ElementwiseQuantizedOp(abs_),
        examples=(
            OpExample((np.array([[-1.5, -0.25, 0.0, 2.0]], dtype=np.float32),), name="floats"),
            OpExample(
                (np.array([[-7, -1, 0, 5]], dtype=np.int32),), tolerance=0.01, name="integers"
            ),
        ),
    )
