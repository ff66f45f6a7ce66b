"""BitwiseAnd: the conjunction of the bits of two integer tensors, with broadcasting.

Under encryption it is free with one clear operand. Two encrypted ones are packed into one lookup,
as wide as both together.
"""

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


def bitwise_and(a, b):
    return (np.bitwise_and(a, b),)


@hookimpl
def cml_op():
    x = np.array([[3, -4, 7, 0]], dtype=np.int32)
    y = np.array([[5, 6, 2, 1]], dtype=np.int32)
    return OpPlugin(
        schema=OpSchema("BitwiseAnd", since_versions=(18,), kind=OpKind.ELEMENTWISE),
        numpy_op=bitwise_and,
        quantized_op=ElementwiseQuantizedOp(bitwise_and),
        examples=(
            OpExample((x, y[0]), tolerance=0.0, name="clear operand"),
            OpExample((x, y), encrypted=(0, 1), tolerance=0.0, name="both encrypted"),
        ),
        restrictions="bits are exact only where the range of an operand fits its bit width",
    )
