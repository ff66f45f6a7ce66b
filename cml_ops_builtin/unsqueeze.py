"""Unsqueeze: axes of size 1 inserted where the result is to have them."""

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
from cml_ops_builtin._shared.unsqueezing import with_axes


def unsqueeze(x, axes):
    return (with_axes(x, integers(axes)),)


@hookimpl
def cml_op():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    return OpPlugin(
        schema=OpSchema("Unsqueeze", since_versions=(13, 21, 23, 24, 25), kind=OpKind.MOVEMENT),
        numpy_op=unsqueeze,
        quantized_op=MovementQuantizedOp(unsqueeze),
        examples=(
            OpExample((x, np.array([0, 3])), name="two axes"),
            OpExample((x, np.array([3, -3])), name="any order, negative axis"),
            OpExample((np.float32(3.0), np.array([0])), name="number to vector"),
        ),
    )
