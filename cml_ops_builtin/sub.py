"""Sub: the difference of two tensors, with broadcasting."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    ElementwiseQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
    subtract,
)


def sub(a, b):
    return (np.subtract(a, b),)


@hookimpl
def cml_op():
    x = np.array([[-1.0, 0.5, 2.0]], dtype=np.float32)
    y = np.array([[3.0, -1.0, 0.0]], dtype=np.float32)
    integers = np.array([[3, 0, 7]], dtype=np.int32)
    return OpPlugin(
        schema=OpSchema("Sub", since_versions=(7, 13, 14), kind=OpKind.ELEMENTWISE),
        numpy_op=sub,
        quantized_op=ElementwiseQuantizedOp(sub, combine=subtract),
        examples=(
            OpExample((x, y[0]), name="clear subtrahend"),
            OpExample((y[0], x), encrypted=(1,), name="clear minuend"),
            OpExample((x, y), encrypted=(0, 1), lookups=0, name="both encrypted"),
            OpExample(
                (integers, integers[:, ::-1]), encrypted=(0, 1), tolerance=0.0, name="integers"
            ),
        ),
    )
