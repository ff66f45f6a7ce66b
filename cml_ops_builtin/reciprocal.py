"""Reciprocal: 1 / x."""

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


def reciprocal(x):
    return (np.reciprocal(x),)


@hookimpl
def cml_op():
    x = np.array([[0.5, 1.0, 2.0, 4.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Reciprocal", since_versions=(6, 13), kind=OpKind.ELEMENTWISE),
        numpy_op=reciprocal,
        quantized_op=ElementwiseQuantizedOp(reciprocal),
        examples=(
            OpExample((x,), tolerance=0.05),
            OpExample((-x,), tolerance=0.05, name="negative"),
        ),
    )
