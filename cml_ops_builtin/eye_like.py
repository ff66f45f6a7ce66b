"""EyeLike: ones on a diagonal and zeros elsewhere, in the shape of the input.

Depends on the input's shape alone, so the result is clear also where the input is encrypted.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.element_types import element_type


def eye_like(x, *, dtype, k):
    if len(x.shape) != 2:
        raise AttributeValueError("shape", x.shape, "two axes")
    kind = x.dtype if dtype is None else element_type("dtype", dtype)
    return (np.eye(*x.shape, k=k).astype(kind),)


def quantized_eye_like(ctx: LoweringContext, x, **attributes):
    return eye_like(x, **attributes)


@hookimpl
def cml_op():
    x = np.zeros((2, 3), dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("EyeLike", since_versions=(9, 22), kind=OpKind.SHAPE),
        numpy_op=eye_like,
        quantized_op=quantized_eye_like,
        examples=(
            OpExample((x,)),
            OpExample((x,), {"k": -1, "dtype": 6}, name="int32, below the main diagonal"),
            OpExample((x.astype(np.int64),), {"k": 2}, opset=9, name="opset 9"),
        ),
    )
