"""QLinearAdd of onnxruntime: a sum of quantized tensors, quantized to the output's scale.

Quantized it is written as DequantizeLinear, Add and QuantizeLinear. A clear operand costs nothing.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import GraphWriter, OpExample, OpPlugin, OpSchema, hookimpl


def _real(x, scale, zero_point):
    zero = 0 if zero_point is None else zero_point.astype(np.int64)
    return (x.astype(np.int64) - zero).astype(np.float32) * scale


def qlinear_add(a, a_scale, a_zero_point, b, b_scale, b_zero_point, c_scale, c_zero_point=None):
    total = _real(a, a_scale, a_zero_point) + _real(b, b_scale, b_zero_point)
    zero = 0 if c_zero_point is None else c_zero_point.astype(np.int64)
    limits = np.iinfo(a.dtype)
    value = np.rint(total / c_scale) + zero
    return (np.clip(value, limits.min, limits.max).astype(a.dtype),)


def written(
    writer: GraphWriter,
    a,
    a_scale,
    a_zero_point,
    b,
    b_scale,
    b_zero_point,
    c_scale,
    c_zero_point=None,
):
    real = [
        writer.add("DequantizeLinear", *(name for name in operand if name))
        for operand in ((a, a_scale, a_zero_point), (b, b_scale, b_zero_point))
    ]
    parameters = (name for name in (c_scale, c_zero_point) if name)
    return (writer.add("QuantizeLinear", writer.add("Add", *real), *parameters),)


@hookimpl
def cml_op():
    a, b = np.array([[0, 3, 7], [5, 1, 2]], dtype=np.uint8), np.array([[4, 0, 2]], dtype=np.uint8)
    of_a, of_b = (np.float32(0.5), np.uint8(3)), (np.float32(0.25), np.uint8(1))
    of_c = np.float32(0.4), np.uint8(6)
    return OpPlugin(
        schema=OpSchema("QLinearAdd", since_versions=(1,), domain="com.microsoft"),
        numpy_op=qlinear_add,
        body=written,
        examples=(
            OpExample(
                (a, *of_a, b, *of_b, *of_c),
                outputs=(np.uint8([[4, 5, 12], [10, 3, 5]]),),
                name="a clear operand",
                tolerance=0.0,
                n_bits=3,
            ),
            OpExample(
                (a[:1], *of_a, b, *of_b, *of_c),
                outputs=(np.uint8([[4, 5, 12]]),),
                encrypted=(0, 3),
                name="two encrypted operands",
                tolerance=0.13,
                n_bits=3,
            ),
        ),
        restrictions="scales and zero points must be clear",
    )
