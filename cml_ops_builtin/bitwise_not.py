"""BitwiseNot: integers with all of their bits inverted."""

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


def bitwise_not(x):
    return (np.bitwise_not(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("BitwiseNot", since_versions=(18,), kind=OpKind.ELEMENTWISE),
        numpy_op=bitwise_not,
        quantized_op=ElementwiseQuantizedOp(bitwise_not),
        examples=(
            OpExample((np.array([[3, -4, 7, 0]], dtype=np.int32),), tolerance=0.0, name="signed"),
            OpExample((np.array([[3, 9, 0]], dtype=np.uint8),), tolerance=0.0, name="unsigned"),
        ),
        restrictions="bits are exact only where the range of the operand fits its bit width",
    )
