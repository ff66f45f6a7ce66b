"""Pad before opset 11: elements added or removed at both ends of each axis, told by attributes."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
    move,
)
from cml_ops_builtin._shared.padding import padded


def pad_2(x, *, pads, mode, value):
    return (padded(x, pads, mode, np.asarray(value)),)


def quantized_pad_2(ctx: LoweringContext, x, *, pads, mode, value):
    # The constant makes the journey as a tensor, as only element numbers do.
    return move(ctx, lambda a, v: padded(a, pads, mode, v), [x, np.asarray(value)])


@hookimpl
def cml_op():
    x = np.arange(4, dtype=np.float32).reshape(2, 2)
    framed = np.array([[1.5, 1.5, 1.5], [0.0, 1.0, 1.5], [2.0, 3.0, 1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Pad", since_versions=(2,), kind=OpKind.MOVEMENT),
        numpy_op=pad_2,
        quantized_op=quantized_pad_2,
        examples=(
            OpExample((x,), {"pads": (1, 0, 0, 1), "value": 1.5}, (framed,), opset=7),
            OpExample(
                (x,),
                {"pads": (0, 1, 0, 1), "mode": "reflect"},
                (x[:, [1, 0, 1, 0]],),
                opset=10,
                name="reflect",
            ),
            OpExample(
                (x,),
                {"pads": (1, -1, 0, 0), "mode": "edge"},
                (x[[0, 0, 1], 1:],),
                opset=10,
                name="edge, and a negative pad",
            ),
        ),
    )
