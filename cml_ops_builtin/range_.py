"""Range: numbers from a start up to a limit, which is left out, in equal steps."""

from __future__ import annotations

import math

import numpy as np
from onnx import helper

from cml_core.plugin_api import (
    AttributeValueError,
    OpExample,
    OpPlugin,
    OpSchema,
    check_size,
    hookimpl,
)


def range_(start, limit, delta, *, stash_type=1):
    dtype = start.dtype
    first, last, step = (np.asarray(value).reshape(()) for value in (start, limit, delta))
    if step == 0:
        raise AttributeValueError("delta", step.item(), "a step other than 0")
    if dtype.kind in "iu":
        first, last, step = int(first), int(last), int(step)
        count = max(0, -((first - last) // step))
        check_size([count], dtype)
        return ((first + step * np.arange(count)).astype(dtype),)
    if dtype.itemsize < 4:
        wide = helper.tensor_dtype_to_np_dtype(stash_type)
        first, last, step = (value.astype(wide) for value in (first, last, step))
    steps = float(last - first) / float(step)
    if not math.isfinite(steps):
        raise AttributeValueError("limit", float(last), "a finite number of steps")
    check_size([max(0, math.ceil(steps))], dtype)
    places = np.arange(max(0, math.ceil(steps))).astype(first.dtype)
    return ((first + places * step).astype(dtype),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Range", since_versions=(11, 27)),
        numpy_op=range_,
        examples=(
            OpExample((np.int64(1), np.int64(8), np.int64(3)), name="integers"),
            OpExample((np.float32(2.0), np.float32(0.5), np.float32(-0.5)), opset=11),
            OpExample((np.int32(3), np.int32(1), np.int32(1)), name="empty"),
        ),
        restrictions="start, limit and delta must be clear; what it makes is clear too",
    )
