"""Flatten: all axes before `axis` into one, and the others into another."""

from __future__ import annotations

import math

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


def flatten(x, *, axis):
    if not -x.ndim <= axis <= x.ndim:
        raise AttributeValueError("axis", axis, f"a number from {-x.ndim} to {x.ndim}")
    axis = axis + x.ndim if axis < 0 else axis
    return (x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:])),)


@hookimpl
def cml_op():
    x = np.arange(12, dtype=np.float32).reshape(1, 2, 3, 2)
    return OpPlugin(
        schema=OpSchema(
            "Flatten", since_versions=(1, 9, 11, 13, 21, 23, 24, 25), kind=OpKind.MOVEMENT
        ),
        numpy_op=flatten,
        quantized_op=MovementQuantizedOp(flatten),
        examples=(OpExample((x,)), OpExample((x,), {"axis": 2}), OpExample((x,), {"axis": 0})),
    )
