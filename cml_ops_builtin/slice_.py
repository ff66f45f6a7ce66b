"""Slice: the part of a tensor between starts and ends, in steps that may go backward."""

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
from cml_ops_builtin._shared.positions import integers
from cml_ops_builtin._shared.slicing import sliced


def slice_(x, starts, ends, axes=None, steps=None):
    axes = None if axes is None else integers(axes)
    steps = None if steps is None else integers(steps)
    return (sliced(x, integers(starts), integers(ends), axes, steps),)


@hookimpl
def cml_op():
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    least = np.iinfo(np.int64).min
    return OpPlugin(
        schema=OpSchema("Slice", since_versions=(10, 11, 13), kind=OpKind.MOVEMENT),
        numpy_op=slice_,
        quantized_op=MovementQuantizedOp(slice_),
        examples=(
            OpExample((x, np.array([1, 0]), np.array([3, -1])), name="leading axes"),
            OpExample(
                (x, np.array([-1]), np.array([least]), np.array([1]), np.array([-2])),
                name="backward",
            ),
            OpExample(
                (x, np.array([0, 1]), np.array([9, 9]), np.array([-1, 0]), np.array([3, 1])),
                name="steps and negative axis",
            ),
            OpExample((x, np.array([2]), np.array([3]), None, np.array([1])), name="without axes"),
        ),
    )
