"""BitShift: the bits of integers moved to the left or to the right, with broadcasting.

A right shift of a negative integer fills in its sign. A shift by all bits or more, or by a
negative number, leaves nothing but that.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    ElementwiseQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)


def bit_shift(x, y, *, direction):
    if direction not in ("LEFT", "RIGHT"):
        raise AttributeValueError("direction", direction, "'LEFT' or 'RIGHT'")
    return ((np.left_shift if direction == "LEFT" else np.right_shift)(x, y),)


@hookimpl
def cml_op():
    x = np.array([[9, 4, 1, 12]], dtype=np.uint8)
    y = np.array([[1, 2, 3, 0]], dtype=np.uint8)
    signed = np.array([[-9, 4, -1, 3]], dtype=np.int8)
    return OpPlugin(
        schema=OpSchema("BitShift", since_versions=(11, 28), kind=OpKind.ELEMENTWISE),
        numpy_op=bit_shift,
        quantized_op=ElementwiseQuantizedOp(bit_shift),
        examples=(
            OpExample((x, y[0]), {"direction": "LEFT"}, tolerance=0.0, opset=11, name="left"),
            OpExample((x, y[0]), {"direction": "RIGHT"}, tolerance=0.0, opset=11, name="right"),
            OpExample(
                (x, y),
                {"direction": "RIGHT"},
                encrypted=(0, 1),
                tolerance=0.0,
                opset=11,
                name="both encrypted",
            ),
            OpExample(
                (signed, np.array([1, 8, -1, 2], dtype=np.int8)),
                {"direction": "RIGHT"},
                (np.array([[-5, 0, -1, 0]], dtype=np.int8),),
                tolerance=0.0,
                name="signed, by too much",
            ),
        ),
        restrictions="bits are exact only where the range of an operand fits its bit width",
    )
