"""Clip: each element kept within `min` and `max`; where min is above max, max holds."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    ElementwiseQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)


def clip(x, min=None, max=None):
    if min is not None:
        x = np.maximum(x, min)
    if max is not None:
        x = np.minimum(x, max)
    return (x,)


@hookimpl
def cml_op():
    x = np.array([[-2.0, -0.5, 0.0, 1.5]], dtype=np.float32)
    integers = np.array([[-7, -1, 0, 5]])
    low, high = np.array(-1.0, dtype=np.float32), np.array(1.0, dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Clip", since_versions=(11, 12, 13), kind=OpKind.ELEMENTWISE),
        numpy_op=clip,
        quantized_op=ElementwiseQuantizedOp(clip),
        examples=(
            OpExample((x, low, high), tolerance=0.05),
            OpExample((x, None, high), tolerance=0.05, name="upper bound"),
            OpExample((x, low), name="lower bound"),
            OpExample((x, high, low), tolerance=0.01, name="crossed bounds"),
            OpExample(
                (integers, np.array(-2), np.array(3)), opset=12, tolerance=0.01, name="integers"
            ),
        ),
    )
