"""CastLike: the values of one tensor in the element type of another.

Under encryption it costs nothing: see `_shared/cast.py`.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.cast import cast, cast_encrypted


def cast_like(x, target_type, *, saturate=1, round_mode="up"):
    return (cast(x, target_type.dtype, saturate=saturate, round_mode=round_mode),)


class QuantizedCastLike:
    """CastLike of which only the first input's values, and the second's type, are looked at."""

    def __call__(self, ctx: LoweringContext, x, target_type, *, saturate=1, round_mode="up"):
        if not isinstance(x, EncryptedTensor):
            return cast_like(x, target_type, saturate=saturate, round_mode=round_mode)
        dtype = target_type.dtype
        return (cast_encrypted(ctx, x, dtype, saturate=saturate, round_mode=round_mode),)


@hookimpl
def cml_op():
    x = np.array([[-1.75, -0.5, 0.0, 1.5, 2.75]], dtype=np.float32)
    integers = np.array([[-7, -1, 0, 5]], dtype=np.int64)
    return OpPlugin(
        schema=OpSchema(
            "CastLike", since_versions=(15, 19, 21, 23, 24, 25), kind=OpKind.ELEMENTWISE
        ),
        numpy_op=cast_like,
        quantized_op=QuantizedCastLike(),
        examples=(
            OpExample((x, np.zeros(2, dtype=np.int32)), tolerance=0.01, name="float to integer"),
            OpExample((x, np.array(True)), tolerance=0.01, name="float to boolean"),
            OpExample(
                (x, np.zeros((), dtype=np.float64)),
                opset=15,
                tolerance=0.05,
                name="float to double",
            ),
            OpExample(
                (integers, np.zeros((2, 1), dtype=np.float32)),
                tolerance=0.01,
                name="integer to float",
            ),
        ),
        restrictions="not to strings; between float, double, float16 and bfloat16 values are "
        "not rounded",
    )
