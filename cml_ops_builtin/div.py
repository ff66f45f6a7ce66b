"""Div: the quotient of two tensors, with broadcasting; that of integers is cut towards zero.

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
from cml_ops_builtin._shared.division import check_divisor, quotient


def div(a, b):
    check_divisor(b)
    return quotient(a, b)


@hookimpl
def cml_op():
    x = np.array([[-1.0, 0.5, 2.0]], dtype=np.float32)
    y = np.array([[1.0, 2.0, 4.0]], dtype=np.float32)
    integers = np.array([[-7, 7, 5]], dtype=np.int32)
    divisors = np.array([[2, 3, 1]], dtype=np.int32)
    return OpPlugin(
        schema=OpSchema("Div", since_versions=(7, 13, 14), kind=OpKind.ELEMENTWISE),
        numpy_op=div,
        quantized_op=ElementwiseQuantizedOp(quotient),
        examples=(
            OpExample(
                (x, np.array([0.5, -1.0, 4.0], dtype=np.float32)), lookups=0, name="clear divisor"
            ),
            OpExample((x[0], y), encrypted=(1,), name="clear dividend"),
            OpExample((x, y), encrypted=(0, 1), name="both encrypted"),
            OpExample((integers, divisors), tolerance=0.0, name="integers"),
            OpExample(
                (integers, divisors), encrypted=(0, 1), tolerance=0.0, name="encrypted integers"
            ),
            OpExample(
                (np.array([[7, -5]], dtype=np.int32), np.array([[2, 1]], dtype=np.int32)),
                encrypted=(0, 1),
                tolerance=0.0,
                name="two encrypted integers",
            ),
        ),
        restrictions="of two encrypted operands, wide ones are narrowed to the activation width",
    )
