"""Gather: slices of a tensor along an axis, chosen by clear indices."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    MovementQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.positions import from_front, one_axis


def gather(x, indices, *, axis):
    axis = one_axis(axis, x.ndim)
    chosen = np.take(x, from_front(indices, x.shape[axis]), axis=axis)
    return (np.asarray(chosen, dtype=x.dtype),)


@hookimpl
def cml_op():
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    return OpPlugin(
        schema=OpSchema("Gather", since_versions=(1, 11, 13), kind=OpKind.MOVEMENT),
        numpy_op=gather,
        quantized_op=MovementQuantizedOp(gather),
        examples=(
            OpExample((x, np.array([[0, -1], [1, 1]])), name="repeated and negative indices"),
            OpExample((x, np.array([1, 0])), {"axis": -1}, name="last axis"),
            OpExample((x, np.array(2)), name="one index takes the axis away"),
            OpExample((x[:, 0], np.array(-1)), name="a single number"),
            OpExample((x, np.array([1], dtype=np.int32)), opset=7, name="opset 7"),
        ),
        restrictions="the indices must be clear",
    )
