"""And: the conjunction of two boolean tensors, with broadcasting.

Under encryption it is free with one clear operand. Two encrypted ones are packed: a lookup for
each that takes more than a bit or two, the result being a decode.
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
from cml_ops_builtin._shared.booleans import combine_booleans


def and_(a, b):
    return (np.logical_and(a, b),)


@hookimpl
def cml_op():
    x = np.array([[False, False, True, True]])
    y = np.array([[False, True, False, True]])
    return OpPlugin(
        schema=OpSchema("And", since_versions=(7,), kind=OpKind.ELEMENTWISE),
        numpy_op=and_,
        quantized_op=ElementwiseQuantizedOp(and_, combine=combine_booleans(np.logical_and)),
        examples=(
            OpExample((x, y[0]), tolerance=0.0, name="clear operand"),
            OpExample((x, y), encrypted=(0, 1), tolerance=0.0, name="both encrypted"),
        ),
    )
