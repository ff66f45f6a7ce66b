"""Squeeze: axes of size 1 removed."""

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
from cml_ops_builtin._shared.squeezing import without_axes


def squeeze(x, axes=None):
    return (without_axes(x, None if axes is None else integers(axes)),)


@hookimpl
def cml_op():
    x = np.arange(6, dtype=np.float32).reshape(1, 3, 1, 2)
    return OpPlugin(
        schema=OpSchema("Squeeze", since_versions=(13, 21, 23, 24, 25), kind=OpKind.MOVEMENT),
        numpy_op=squeeze,
        quantized_op=MovementQuantizedOp(squeeze),
        examples=(
            OpExample((x, np.array([2])), name="one axis"),
            OpExample((x, np.array([-2, 0])), name="negative axis"),
            OpExample((x,), name="all axes of size 1"),
        ),
    )
