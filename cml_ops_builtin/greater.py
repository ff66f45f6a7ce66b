"""Greater: where one tensor is greater than another, with broadcasting.

Under encryption it is free with one clear operand, and with two it is a decode of their
difference; a lookup is needed where their scales have no common measure.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.comparison import ORDER_RESTRICTIONS, asks, quantized_comparison


def greater(a, b):
    return (np.greater(a, b),)


@hookimpl
def cml_op():
    x = np.array([[-1.0, 0.5, 2.0]], dtype=np.float32)
    y = np.array([[1.5, -1.0, 2.0]], dtype=np.float32)
    integers = np.array([[3, 0, 7]], dtype=np.uint8)
    return OpPlugin(
        schema=OpSchema("Greater", since_versions=(7, 9, 13), kind=OpKind.ELEMENTWISE),
        numpy_op=greater,
        quantized_op=quantized_comparison(np.greater),
        calibration_hook=asks(np.greater),
        examples=(
            OpExample((x, np.array(0.25, dtype=np.float32)), tolerance=0.0, name="a threshold"),
            OpExample((y[0], x), encrypted=(1,), tolerance=0.0, name="encrypted on the right"),
            OpExample(
                (x, y),
                encrypted=(0, 1),
                tolerance=0.0,
                lookups=3,
                max_bits=5,
                name="both encrypted",
            ),
            OpExample(
                (integers, np.array([[3, 1, 2]], dtype=np.uint8)),
                encrypted=(0, 1),
                tolerance=0.0,
                name="unsigned integers",
            ),
        ),
        restrictions=ORDER_RESTRICTIONS,
    )
