"""Equal: where two tensors are equal, with broadcasting.

Under encryption it is free with one clear operand, and with two numbers it is a decode of their
difference; a lookup is needed where their scales have no common measure. Two booleans are made
one bit each and packed.
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
from cml_ops_builtin._shared.comparison import (
    EQUALITY_RESTRICTIONS,
    asks,
    combine_equal,
    quantized_comparison,
)


def equal(a, b):
    return (np.asarray(np.equal(a, b), dtype=np.bool_),)


@hookimpl
def cml_op():
    x = np.array([[-1.0, 0.5, 2.0]], dtype=np.float32)
    integers = np.array([[3, 0, 7]], dtype=np.uint8)
    truths = np.array([[True, False, True]])
    return OpPlugin(
        schema=OpSchema("Equal", since_versions=(7, 11, 13, 19), kind=OpKind.ELEMENTWISE),
        numpy_op=equal,
        quantized_op=quantized_comparison(np.equal, combine_equal),
        calibration_hook=asks(np.equal),
        examples=(
            OpExample((integers, np.uint8(7)), tolerance=0.0, name="a clear integer"),
            OpExample(
                (integers, integers[:, ::-1]), encrypted=(0, 1), tolerance=0.0, name="integers"
            ),
            OpExample((x, x[:, ::-1]), encrypted=(0, 1), tolerance=0.0, name="floats"),
            OpExample(
                (truths, truths[:, [0, 0, 1]]), encrypted=(0, 1), tolerance=0.0, name="booleans"
            ),
        ),
        restrictions=EQUALITY_RESTRICTIONS,
    )
