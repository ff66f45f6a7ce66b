"""CumSum: the sums of all elements up to each one along an axis.

Under encryption it costs no lookup: a product with clear zeros and ones.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.cumulating import cumulated, cumulation_axis, taken
from cml_ops_builtin._shared.weighing import weigh


def cum_sum(x, axis, *, exclusive, reverse):
    return (cumulated(x, axis, np.add, 0, exclusive=exclusive, reverse=reverse),)


def quantized_cum_sum(ctx: LoweringContext, x, axis, *, exclusive, reverse):
    if isinstance(axis, EncryptedTensor):
        ctx.refuse("the axis must be clear")
    place = cumulation_axis(axis, x.ndim)
    return (weigh(ctx, x, place, taken(x.shape[place], exclusive=exclusive, reverse=reverse)),)


@hookimpl
def cml_op():
    x = np.array([[1.0, -2.0, 0.5], [3.0, -1.0, 2.0]], dtype=np.float32)
    whole = np.array([3, -5, 7], dtype=np.int32)
    return OpPlugin(
        schema=OpSchema("CumSum", since_versions=(11, 14), kind=OpKind.LINEAR),
        numpy_op=cum_sum,
        quantized_op=quantized_cum_sum,
        examples=(
            OpExample((x, np.int64(1)), tolerance=0.06, name="rows"),
            OpExample((x, np.int64(0)), opset=11, tolerance=0.06, name="columns, opset 11"),
            OpExample((x, np.int32(-1)), {"exclusive": 1}, tolerance=0.08, name="without itself"),
            OpExample((whole, np.int64(0)), {"reverse": 1}, tolerance=0.0, name="from the end"),
            OpExample(
                (whole, np.int64(0)),
                {"reverse": 1, "exclusive": 1},
                tolerance=0.0,
                name="from the end, without itself",
            ),
        ),
        restrictions="the axis must be clear",
    )
