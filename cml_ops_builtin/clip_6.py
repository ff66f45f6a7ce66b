"""Clip as it was before opset 11: each element kept within attributes `min` and `max`."""

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


def clip_6(x, *, min, max):
    low, high = x.dtype.type(min), x.dtype.type(max)
    return (np.minimum(np.maximum(x, low), high),)


@hookimpl
def cml_op():
    x = np.array([[-2.0, -0.5, 0.0, 1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Clip", since_versions=(6,), kind=OpKind.ELEMENTWISE),
        numpy_op=clip_6,
        quantized_op=ElementwiseQuantizedOp(clip_6),
        examples=(
            OpExample((x,), {"min": -1.0, "max": 1.0}, opset=10, tolerance=0.05),
            OpExample((x,), {"max": 1.0}, opset=10, tolerance=0.05, name="upper bound"),
            OpExample((x,), opset=10, tolerance=0.05, name="no bounds"),
        ),
    )
