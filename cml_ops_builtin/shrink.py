"""Shrink: values within `lambd` of zero become zero, the others move `bias` towards it."""

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


def shrink(x, *, bias, lambd):
    zero = np.zeros((), dtype=x.dtype)
    moved = np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, zero))
    return (moved.astype(x.dtype),)


@hookimpl
def cml_op():
    x = np.array([[-2.0, -0.5, 0.25, 1.0, 1.75]], dtype=np.float32)
    integers = np.array([[-4, -1, 0, 2, 5]], dtype=np.int32)
    return OpPlugin(
        schema=OpSchema("Shrink", since_versions=(9,), kind=OpKind.ELEMENTWISE),
        numpy_op=shrink,
        quantized_op=ElementwiseQuantizedOp(shrink),
        examples=(
            OpExample((x,), name="hard"),
            OpExample((x,), {"lambd": 1.5, "bias": 1.5}, name="soft"),
            OpExample((integers,), {"lambd": 1.5, "bias": 1.0}, tolerance=0.0, name="integers"),
        ),
    )
