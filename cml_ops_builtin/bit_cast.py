"""BitCast: the same bits as elements of another type of the same width.

Under encryption integers and booleans alone, at no cost: no quantized float has the bits of the
one that it stands for.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from cml_core.plugin_api import (
    AttributeValueError,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    elementwise,
    hookimpl,
)
from cml_ops_builtin._shared.element_types import bits_of_type, element_type


def _target(dtype, to):
    target = element_type("to", to)
    if any(kind.kind in "OSU" for kind in (dtype, target)) or bits_of_type(dtype) != bits_of_type(
        target
    ):
        expected = f"the number of an element type as wide as {dtype}"
        raise AttributeValueError("to", to, expected)
    return target


def bit_cast(x, *, to):
    return (np.ascontiguousarray(x).view(_target(x.dtype, to)).reshape(x.shape),)


def quantized_bit_cast(ctx: LoweringContext, x, *, to):
    target = _target(x.dtype, to)
    if x.dtype.kind not in "biu" or target.kind not in "biu":
        ctx.refuse(
            f"the bits of {x.dtype} as {target} are not those of quantized numbers",
            "Integers and booleans are possible.",
        )
    return (elementwise(ctx, lambda v: bit_cast(v.astype(x.dtype), to=to)[0], x),)


@hookimpl
def cml_op():
    floats = np.array([[1.0, -0.5], [0.0, 2.0]], dtype=np.float32)
    integers = np.array([[-3, 0, 7, -1]], dtype=np.int8)
    return OpPlugin(
        schema=OpSchema("BitCast", since_versions=(26,), kind=OpKind.ELEMENTWISE),
        numpy_op=bit_cast,
        quantized_op=quantized_bit_cast,
        examples=(
            OpExample((floats,), {"to": TensorProto.INT32}, encrypted=(), name="bits of floats"),
            OpExample(
                (floats.view(np.int32).astype(np.int64),),
                {"to": TensorProto.DOUBLE},
                encrypted=(),
                name="floats of bits",
            ),
            OpExample((integers,), {"to": TensorProto.UINT8}, tolerance=0.01, name="signs"),
        ),
        restrictions="between integers and booleans",
    )
