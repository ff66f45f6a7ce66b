"""QGemm of onnxruntime: Gemm of quantized matrices, quantized to the output's scale.

y = saturate(round(((A - a_zero) (B - b_zero) + C) alpha a_scale b_scale / y_scale) + y_zero), ties
to even; without y_scale, the real product. Quantized it is written as a MatMulInteger and a
QuantizeLinear: all integers are the model's own.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import GraphWriter, OpExample, OpPlugin, OpSchema, hookimpl


def _int64(x):
    return np.zeros((), dtype=np.int64) if x is None else x.astype(np.int64)


def qgemm(
    a,
    a_scale,
    a_zero_point,
    b,
    b_scale,
    b_zero_point,
    c=None,
    y_scale=None,
    y_zero_point=None,
    *,
    alpha,
    transA,
    transB,
):
    left, right = _int64(a) - _int64(a_zero_point), _int64(b)
    # Scales and zero points of B are those of the columns of the product.
    right = (right.T if transB else right) - _int64(b_zero_point)
    product = (left.T if transA else left) @ right + _int64(c)
    scale = np.float32(alpha) * a_scale.reshape(()) * b_scale
    if y_scale is None:
        return (np.asarray(product.astype(np.float32) * scale),)
    dtype = np.dtype(np.uint8) if y_zero_point is None else y_zero_point.dtype
    limits = np.iinfo(dtype)
    value = product.astype(np.float32) * (scale / y_scale)
    value = np.rint(value) + _int64(y_zero_point)
    return (np.clip(value, limits.min, limits.max).astype(dtype),)


def written(
    writer: GraphWriter,
    a,
    a_scale,
    a_zero_point,
    b,
    b_scale,
    b_zero_point,
    c=None,
    y_scale=None,
    y_zero_point=None,
    *,
    alpha,
    transA,
    transB,
):
    left = writer.add("Transpose", a, perm=[1, 0]) if transA else a
    right = writer.add("Transpose", b, perm=[1, 0]) if transB else b
    product = writer.add("MatMulInteger", left, right, a_zero_point or "", b_zero_point or "")
    if c:
        product = writer.add("Add", product, c)
    scale = writer.add("Mul", writer.constant(alpha, np.float32), a_scale)
    scale = writer.add("Mul", scale, b_scale)
    if y_scale:
        scale = writer.add("Div", scale, y_scale)
    y = writer.add("Mul", writer.cast(product, np.float32), scale)
    if not y_scale:
        return (y,)
    zero = y_zero_point or writer.constant(0, np.uint8)
    return (writer.add("QuantizeLinear", y, writer.constant(1.0, np.float32), zero),)


@hookimpl
def cml_op():
    a = np.array([[0, 3, 7], [5, 1, 2]], dtype=np.uint8)
    b = np.array([[1, -2], [0, 3], [-1, 2]], dtype=np.int8)
    of_a = np.float32(0.5), np.uint8(3)
    columns = np.float32([0.25, 0.5]), np.int8([0, 1])
    exact = {"tolerance": 0.0, "n_bits": 3}
    return OpPlugin(
        schema=OpSchema(
            "QGemm",
            since_versions=(1,),
            domain="com.microsoft",
            attribute_defaults={"alpha": 1.0, "transA": 0, "transB": 0},
        ),
        numpy_op=qgemm,
        body=written,
        examples=(
            OpExample(
                (
                    *(a, *of_a, b, np.float32(0.25), np.int8(0)),
                    *(np.int32([4, -2]), np.float32(0.5), np.uint8(9)),
                ),
                outputs=(np.uint8([[8, 12], [11, 5]]),),
                name="with a bias",
                **exact,
            ),
            OpExample(
                (a, *of_a, b.T.copy(), *columns),
                {"transB": 1, "alpha": 2.0},
                outputs=(np.float32([[-1.75, 6.5], [0.75, -5.5]]),),
                name="real products, a scale for each column",
                **exact,
            ),
        ),
        restrictions="B, C, scales and zero points must be clear",
    )
