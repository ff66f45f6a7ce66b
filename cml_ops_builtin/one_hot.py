"""OneHot: a new axis with one place for each class, on where an index names the class.

Under encryption it costs nothing: each place is a function of its index, so a decode.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.one_hot_encoding import (
    OneHotQuantizedOp,
    encoded,
    matches_or_negative,
)


def one_hot(indices, depth, values, *, axis):
    return (encoded(indices, depth, values, axis, matches_or_negative),)


@hookimpl
def cml_op():
    indices = np.array([[1, -1], [2, 7]])
    values = np.array([0.0, 1.0], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("OneHot", since_versions=(11, 28)),
        numpy_op=one_hot,
        quantized_op=OneHotQuantizedOp(matches_or_negative),
        tail=True,
        examples=(
            OpExample(
                (np.array([1, -1, 7]), np.int64(3), values),
                {},
                (np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=np.float32),),
                opset=11,
            ),
            OpExample(
                (indices, np.array([2]), np.array([5, -5])),
                {"axis": 0},
                (np.array([[[5, 5], [5, 5]], [[-5, -5], [5, 5]]]),),
                opset=11,
                name="first axis, integer values",
            ),
        ),
        restrictions="depth and values must be clear",
    )
