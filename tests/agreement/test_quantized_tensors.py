"""Tensors of integers or small floats with scales and zero points."""

from __future__ import annotations

import functools

import ml_dtypes
import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import helper

from tests.agreement.harness import Fault, Node, Operator, agreement
from tests.agreement.spatial import finite
from tests.agreement.values import BFLOAT16, HALF, array, axis_of, optional, shape

FLOAT, INT = (np.dtype(np.float32),), (np.dtype(np.int32),)
BYTES = (np.dtype(np.int8), np.dtype(np.uint8))
SHORTS = (np.dtype(np.int16), np.dtype(np.uint16))
SMALL = tuple(
    np.dtype(getattr(ml_dtypes, name))
    for name in (
        "int4",
        "uint4",
        "int2",
        "uint2",
        "float4_e2m1fn",
        "float6_e2m3fn",
        "float6_e3m2fn",
    )
)
FLOAT8 = tuple(
    np.dtype(getattr(ml_dtypes, f"float8_{name}"))
    for name in ("e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz")
)
CONSTANT = st.sampled_from([(), (1, 2)])


@functools.cache
def taken(op_type, revision, position):
    """Element types of an input of a revision, in a settled order."""
    names = onnx.defs.get_schema(op_type, revision, "").inputs[position].types
    numbers = [onnx.TensorProto.DataType.Value(name[7:-1].upper()) for name in names]
    return [np.dtype(helper.tensor_dtype_to_np_dtype(number)) for number in sorted(numbers)]


def codes(draw, dtype, size):
    """Draw numbers of a type that quantized tensors have, from all of its range."""
    if dtype.kind in "iu" and dtype.itemsize < 4:
        return array(draw, dtype, size, kinds=("plain", "special"))
    rng = np.random.default_rng(draw(st.integers(0, 2**16 - 1)))
    if "int" in dtype.name:
        known = ml_dtypes.iinfo(dtype) if dtype in SMALL else np.iinfo(np.int16)
        return rng.integers(int(known.min), int(known.max) + 1, size).astype(dtype)
    return np.asarray(rng.normal(0, 3, size).astype(np.float32).astype(dtype))


def spread(draw, revision, size):
    """Draw the shape of scales and what says which elements have which of them."""
    ways = ["tensor", *(["axis"] if revision >= 13 else []), *(["block"] if revision >= 21 else [])]
    way = draw(st.sampled_from(ways)) if len(size) > 1 else "tensor"
    if way == "tensor":
        return (), {}
    axis = axis_of(draw, len(size))
    if way == "axis":
        return (size[axis],), {"axis": axis}
    block = draw(st.integers(1, 4))
    blocks = list(size)
    blocks[axis] = -(-size[axis] // block)
    return tuple(blocks), {"axis": axis, "block_size": block}


def scales(draw, dtype, size):
    """Draw powers of two or ordinary scales, as the type has them."""
    if "int" in dtype.name:
        return finite(draw, dtype, size, low=1, high=9)
    values = np.exp2(finite(draw, np.float32, size, low=-2, high=2))
    if draw(st.booleans()):
        values = np.exp2(np.round(np.log2(values)))
    return np.asarray(values.astype(dtype))


def quantize_linear(draw, dtype, revision):
    size = shape(draw, 1, 3)
    each, attributes = spread(draw, revision, size)
    of_scale = dtype if revision >= 19 else np.dtype(np.float32)
    if dtype == np.int32:
        of_scale = np.dtype(np.float32)
    to = draw(st.sampled_from(taken("QuantizeLinear", revision, 2)))
    wide = "int" in to.name and to not in SMALL
    x = finite(draw, dtype, size)
    x = (x.astype(np.float32) * (60 if wide else 2)).astype(dtype)
    inputs = [x, scales(draw, of_scale, each)]
    stated = draw(st.booleans()) if to == np.uint8 or revision >= 21 else True
    if stated:
        zero = codes(draw, to, each) if "int" in to.name else np.zeros(each, to)
        inputs.append(zero)
    elif to != np.uint8:
        attributes["output_dtype"] = helper.np_dtype_to_tensor_dtype(to)
    if to in FLOAT8:
        attributes |= optional(draw, saturate=draw(st.integers(0, 1)))
    if revision >= 23 and dtype in HALF and draw(st.booleans()):
        attributes["precision"] = onnx.TensorProto.FLOAT
    return Node(inputs, attributes, constants=draw(CONSTANT))


def dequantize_linear(draw, dtype, revision):
    size = shape(draw, 1, 3)
    each, attributes = spread(draw, revision, size)
    of_scale = draw(st.sampled_from(taken("DequantizeLinear", revision, 1)))
    inputs = [codes(draw, dtype, size), scales(draw, of_scale, each)]
    if "int" in dtype.name and dtype != np.int32 and draw(st.booleans()):
        inputs.append(codes(draw, dtype, each))
    if of_scale.name == "float8_e8m0fnu":
        attributes["output_dtype"] = onnx.TensorProto.FLOAT
    return Node(inputs, attributes, constants=draw(CONSTANT))


def dynamic_quantize_linear(draw, dtype, revision):
    return Node([finite(draw, dtype, shape(draw))], n_outputs=3)


def factors(draw):
    """Draw shapes of two matrices, or stacks of them, that can be multiplied."""
    rows, inner, columns = (draw(st.integers(1, 4)) for _ in range(3))
    outer = shape(draw, 0, 2, max_size=3)
    return (*outer, rows, inner), (*draw(st.sampled_from([outer, ()])), inner, columns)


def zero_of(draw, dtype, size, axis):
    """Draw a zero point for the matrix, or for each of its rows or columns."""
    per = [1] * len(size)
    per[axis] = size[axis]
    each = draw(st.sampled_from([(), (size[axis],) if len(size) == 2 else (*size[:-2], *per[-2:])]))
    return codes(draw, dtype, each)


def matmul_integer(draw, dtype, revision):
    first, second = factors(draw)
    other = draw(st.sampled_from(BYTES))
    inputs = [codes(draw, dtype, first), codes(draw, other, second)]
    if draw(st.booleans()):
        zeros = [codes(draw, dtype, ()), zero_of(draw, other, second, -1)]
        inputs += zeros[: draw(st.integers(1, 2))]
    return Node(inputs)


def q_linear_matmul(draw, dtype, revision):
    first, second = factors(draw)
    other = draw(st.sampled_from(BYTES)) if dtype == np.uint8 else dtype
    of_scale = np.dtype(np.float32)
    inputs = [
        *(codes(draw, dtype, first), scales(draw, of_scale, ()), codes(draw, dtype, ())),
        *(codes(draw, other, second), scales(draw, of_scale, ()), codes(draw, other, ())),
        *(scales(draw, of_scale, ()) * np.float32(64), codes(draw, dtype, ())),
    ]
    return Node(inputs)


OPERATORS = {
    "DequantizeLinear": Operator(dequantize_linear, BYTES + SHORTS + INT + SMALL + FLOAT8),
    "DynamicQuantizeLinear": Operator(dynamic_quantize_linear, FLOAT),
    "MatMulInteger": Operator(matmul_integer, BYTES),
    "QLinearMatMul": Operator(q_linear_matmul, BYTES),
    "QuantizeLinear": Operator(
        quantize_linear,
        FLOAT + HALF + BFLOAT16 + INT,
        faults=[
            Fault("onnxruntime", "has no such type", says="not currently registered"),
            Fault(
                "onnxruntime",
                "divides float16 in float32, although the scale's type says how",
                when=lambda node, case: case.dtype in HALF and "precision" not in node.attributes,
            ),
        ],
    ),
}


@agreement(OPERATORS)
def test_quantized_tensors(case):
    case.check()
