"""Cast: the same values in another element type; strings spell numbers.

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
from cml_ops_builtin._shared.cast import cast as cast_array
from cml_ops_builtin._shared.cast import cast_encrypted
from cml_ops_builtin._shared.element_types import element_type


def cast(x, *, to, saturate=1, round_mode="up"):
    return (cast_array(x, element_type("to", to), saturate=saturate, round_mode=round_mode),)


class QuantizedCast:
    """Cast of an encrypted tensor."""

    def __call__(self, ctx: LoweringContext, x, *, to, saturate=1, round_mode="up"):
        return (
            cast_encrypted(
                ctx, x, element_type("to", to), saturate=saturate, round_mode=round_mode
            ),
        )


@hookimpl
def cml_op():
    x = np.array([[-1.75, -0.5, 0.0, 1.5, 2.75]], dtype=np.float32)
    integers = np.array([[-7, -1, 0, 5]], dtype=np.int64)
    booleans = np.array([[True, False, True]])
    return OpPlugin(
        schema=OpSchema(
            "Cast", since_versions=(9, 13, 19, 21, 23, 24, 25, 28), kind=OpKind.ELEMENTWISE
        ),
        numpy_op=cast,
        quantized_op=QuantizedCast(),
        examples=(
            OpExample((x,), {"to": TensorProto.INT32}, tolerance=0.01, name="float to integer"),
            OpExample((x,), {"to": TensorProto.BOOL}, tolerance=0.01, name="float to boolean"),
            OpExample((x,), {"to": TensorProto.DOUBLE}, tolerance=0.05, name="float to double"),
            OpExample(
                (x,), {"to": TensorProto.FLOAT16}, opset=13, tolerance=0.05, name="float to float16"
            ),
            OpExample(
                (integers,), {"to": TensorProto.FLOAT}, tolerance=0.01, name="integer to float"
            ),
            OpExample(
                (integers,), {"to": TensorProto.BOOL}, tolerance=0.01, name="integer to boolean"
            ),
            OpExample(
                (booleans,), {"to": TensorProto.INT64}, tolerance=0.01, name="boolean to integer"
            ),
            OpExample(
                (x,),
                {"to": TensorProto.STRING},
                outputs=(np.array([["-1.75", "-0.5", "0", "1.5", "2.75"]], dtype=object),),
                encrypted=(),
                name="float to string",
            ),
        ),
        restrictions="not to strings; between float, double, float16 and bfloat16 values are "
        "not rounded",
    )
