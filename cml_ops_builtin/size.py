"""Size: the number of a tensor's elements. Always clear, also of an encrypted tensor."""

from __future__ import annotations

import math

import numpy as np

from cml_core.plugin_api import LoweringContext, OpExample, OpKind, OpPlugin, OpSchema, hookimpl


def size(x):
    return (np.array(math.prod(x.shape), dtype=np.int64),)


def quantized_size(ctx: LoweringContext, x):
    return size(x)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Size", since_versions=(1, 13, 19, 21, 23, 24, 25), kind=OpKind.SHAPE),
        numpy_op=size,
        quantized_op=quantized_size,
        examples=(
            OpExample((np.zeros((1, 3, 2), dtype=np.float32),)),
            OpExample((np.float32(5.0),), opset=7, name="a single number, opset 7"),
        ),
    )
