"""Mul: the product of two tensors, element by element, with broadcasting."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    ElementwiseQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
    multiply,
)


def mul(a, b):
    return (np.multiply(a, b),)


@hookimpl
def cml_op():
    x = np.array([[-1.0, 0.5, 2.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Mul", since_versions=(7, 13, 14), kind=OpKind.ELEMENTWISE),
        numpy_op=mul,
        quantized_op=ElementwiseQuantizedOp(mul, combine=multiply),
        examples=(
            OpExample(
                (x, np.array([0.5, -0.25, 3.0], dtype=np.float32)), lookups=0, name="clear factor"
            ),
            OpExample(
                (x, np.array([[3.0, -1.0, 0.0]], dtype=np.float32)),
                encrypted=(0, 1),
                tolerance=0.15,
                lookups=6,
                max_bits=5,
                name="both encrypted",
            ),
        ),
    )
