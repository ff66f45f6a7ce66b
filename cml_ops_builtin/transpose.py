"""Transpose: the axes in another order, reversed if none is given."""

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


def transpose(x, *, perm):
    if perm is None:
        return (x.T,)
    if sorted(perm) != list(range(x.ndim)):
        raise AttributeValueError("perm", perm, f"each axis from 0 to {x.ndim - 1} once")
    return (x.transpose(perm),)


@hookimpl
def cml_op():
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    return OpPlugin(
        schema=OpSchema("Transpose", since_versions=(1, 13, 21, 23, 24, 25), kind=OpKind.MOVEMENT),
        numpy_op=transpose,
        quantized_op=MovementQuantizedOp(transpose),
        examples=(
            OpExample((x,), lookups=0, name="reversed"),
            OpExample((x,), {"perm": (1, 0, 2)}),
            OpExample((x,), {"perm": (0, 2, 1)}, opset=7, name="opset 7"),
        ),
    )
