"""Squeeze before opset 13: axes of size 1 removed, named by an attribute."""

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
from cml_ops_builtin._shared.squeezing import without_axes


def squeeze_1(x, *, axes):
    return (without_axes(x, axes),)


@hookimpl
def cml_op():
    x = np.arange(6, dtype=np.float32).reshape(1, 3, 1, 2)
    return OpPlugin(
        schema=OpSchema("Squeeze", since_versions=(1, 11), kind=OpKind.MOVEMENT),
        numpy_op=squeeze_1,
        quantized_op=MovementQuantizedOp(squeeze_1),
        examples=(
            OpExample((x,), {"axes": (2,)}, (x[:, :, 0],), opset=7, name="opset 7"),
            OpExample((x,), {"axes": (-2, 0)}, (x[0, :, 0],), name="negative axis"),
            OpExample((x,), {}, (x[0, :, 0],), name="all axes of size 1"),
        ),
    )
