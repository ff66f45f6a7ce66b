"""Unsqueeze before opset 13: axes of size 1 inserted, named by an attribute."""

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
from cml_ops_builtin._shared.unsqueezing import with_axes


def unsqueeze_1(x, *, axes):
    return (with_axes(x, axes),)


@hookimpl
def cml_op():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    return OpPlugin(
        schema=OpSchema("Unsqueeze", since_versions=(1, 11), kind=OpKind.MOVEMENT),
        numpy_op=unsqueeze_1,
        quantized_op=MovementQuantizedOp(unsqueeze_1),
        examples=(
            OpExample((x,), {"axes": (0, 3)}, (x[None, :, :, None],), opset=7, name="opset 7"),
            OpExample((x,), {"axes": (-1,)}, (x[..., None],), name="negative axis"),
        ),
    )
