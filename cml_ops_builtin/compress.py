"""Compress: the slices of a tensor along an axis for which a clear condition is true."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    MovementQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.positions import one_axis


def compress(x, condition, *, axis):
    if condition.ndim != 1:
        raise AttributeValueError("shape of condition", condition.shape, "one axis")
    x, axis = (x.reshape(-1), 0) if axis is None else (x, one_axis(axis, x.ndim))
    if len(condition) > x.shape[axis]:
        raise AttributeValueError("length of condition", len(condition), f"{x.shape[axis]} or less")
    # The condition may be shorter than the axis; what it does not cover is left out.
    return (np.take(x, np.flatnonzero(condition), axis=axis),)


@hookimpl
def cml_op():
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    return OpPlugin(
        schema=OpSchema("Compress", since_versions=(9, 11, 28), kind=OpKind.MOVEMENT),
        numpy_op=compress,
        quantized_op=MovementQuantizedOp(compress),
        examples=(
            OpExample((x, np.array([False, True, True])), {"axis": 0}, opset=11, name="rows"),
            OpExample(
                (x, np.array([False, True])), {"axis": -1}, opset=11, name="columns, negative axis"
            ),
            OpExample((x, np.array([True, False, True])), opset=9, name="flattened, opset 9"),
        ),
        restrictions="the condition must be clear",
    )
