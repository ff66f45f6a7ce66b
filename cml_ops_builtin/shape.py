"""Shape: the sizes of a tensor's axes. Always clear, also of an encrypted tensor."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import LoweringContext, OpExample, OpKind, OpPlugin, OpSchema, hookimpl


def shape(x, *, start=0, end=None):
    return (np.array(x.shape[start:end], dtype=np.int64),)


def quantized_shape(ctx: LoweringContext, x, **attributes):
    return shape(x, **attributes)


@hookimpl
def cml_op():
    x = np.zeros((1, 3, 2), dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Shape", since_versions=(1, 13, 15, 19, 21, 23, 24, 25), kind=OpKind.SHAPE),
        numpy_op=shape,
        quantized_op=quantized_shape,
        examples=(
            OpExample((x,)),
            OpExample((x,), {"start": 1, "end": -1}, name="a range of axes"),
            OpExample((x,), {"start": -9, "end": 9}, name="bounds beyond the rank"),
            OpExample((x,), opset=7, name="opset 7"),
        ),
    )
