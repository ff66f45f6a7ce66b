"""Tile: a tensor repeated a number of times along each axis."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    MovementQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    check_size,
    hookimpl,
)
from cml_ops_builtin._shared.positions import integers


def tile(x, repeats):
    times = integers(repeats)
    if len(times) != x.ndim or min(times, default=0) < 0:
        raise AttributeValueError("repeats", times, f"{x.ndim} numbers, 0 or more")
    check_size([n * k for n, k in zip(x.shape, times, strict=True)], x.dtype)
    return (np.tile(x, times),)


@hookimpl
def cml_op():
    x = np.arange(4, dtype=np.float32).reshape(2, 2)
    return OpPlugin(
        schema=OpSchema("Tile", since_versions=(6, 13), kind=OpKind.MOVEMENT),
        numpy_op=tile,
        quantized_op=MovementQuantizedOp(tile),
        examples=(
            OpExample((x, np.array([1, 3])), name="one axis"),
            OpExample((x[:, :1], np.array([2, 2])), opset=7, name="both axes, opset 7"),
            OpExample((x, np.array([0, 1])), encrypted=(), name="nothing left"),
        ),
    )
