"""Cast as it was before opset 9: to numbers and booleans, not to strings.

Under encryption it costs nothing: see `_shared/cast.py`.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from cml_core.plugin_api import (
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.cast import cast, cast_encrypted, refuse_strings
from cml_ops_builtin._shared.element_types import element_type


def cast_6(x, *, to):
    dtype = element_type("to", to)
    refuse_strings(dtype)
    return (cast(x, dtype, saturate=1, round_mode="up"),)


class QuantizedCast6:
    """Cast of an encrypted tensor."""

    def __call__(self, ctx: LoweringContext, x, *, to):
        return (cast_encrypted(ctx, x, element_type("to", to), saturate=1, round_mode="up"),)


@hookimpl
def cml_op():
    x = np.array([[-1.75, -0.5, 0.0, 1.5, 2.75]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Cast", since_versions=(6,), kind=OpKind.ELEMENTWISE),
        numpy_op=cast_6,
        quantized_op=QuantizedCast6(),
        examples=(
            OpExample(
                (x,), {"to": TensorProto.INT32}, opset=8, tolerance=0.01, name="float to integer"
            ),
            OpExample(
                (x,), {"to": TensorProto.DOUBLE}, opset=8, tolerance=0.05, name="float to double"
            ),
        ),
        restrictions="between float, double, float16 and bfloat16 values are not rounded",
    )
