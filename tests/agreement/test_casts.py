"""From one element type to another."""

from __future__ import annotations

import functools

import ml_dtypes
import numpy as np
from hypothesis import strategies as st
from onnx import helper

from tests.agreement.harness import Node, Operator, agreement, taken
from tests.agreement.values import ALL, BFLOAT16, STRINGS, array, optional, shape

FLOAT8 = tuple(
    np.dtype(getattr(ml_dtypes, name))
    for name in ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")
)
NARROW = tuple(np.dtype(getattr(ml_dtypes, name)) for name in ("int4", "uint4"))


def identity(draw, dtype, revision):
    return Node([array(draw, dtype, shape(draw))])


def cast(draw, dtype, revision):
    target = draw(st.sampled_from(targets("Cast", revision)))
    to = helper.np_dtype_to_tensor_dtype(target)
    return Node([convertible(draw, dtype, target)], {"to": to, **saturating(draw, target)})


def cast_like(draw, dtype, revision):
    target = draw(st.sampled_from(targets("CastLike", revision)))
    like = array(draw, target, shape(draw)) if target in ALL else np.zeros((2,), dtype=target)
    return Node([convertible(draw, dtype, target), like], saturating(draw, target))


def saturating(draw, target):
    return optional(draw, saturate=draw(st.integers(0, 1))) if target in FLOAT8 else {}


def convertible(draw, dtype, target):
    """Draw an array; what does not fit into integers is undefined for floats, so they do fit."""
    if dtype in STRINGS:
        spelled = (
            ["0", "7", "42"] if target.kind not in "fV" else ["-1.5", "3e2", "INF", "-inf", "NaN"]
        )
        return np.array(draw(st.lists(st.sampled_from(spelled), max_size=4)), dtype=object)
    if dtype in NARROW:
        return array(draw, np.int8, shape(draw), low=0, high=7).astype(dtype)
    if dtype.kind in "iub" or not is_integer(target):
        return array(draw, dtype, shape(draw))
    info = ml_dtypes.iinfo(target)
    low, high = max(info.min, -(2**10)), min(info.max, 2**10)
    return array(draw, dtype, shape(draw), kinds=("plain", "ties"), low=low, high=high)


def is_integer(dtype):
    return dtype.kind in "iu" or dtype in NARROW


@functools.cache
def targets(op_type, revision):
    """Element types that a revision converts to."""
    return [t for t in (*ALL, *BFLOAT16, *FLOAT8, *NARROW) if t in taken(op_type, revision, 0)]


def bit_cast(draw, dtype, revision):
    alike = [t for t in (*ALL, *BFLOAT16, *FLOAT8) if t.itemsize == dtype.itemsize]
    to = helper.np_dtype_to_tensor_dtype(draw(st.sampled_from([t for t in alike if t.kind != "b"])))
    return Node([array(draw, dtype, shape(draw))], {"to": to})


OPERATORS = {
    "BitCast": Operator(bit_cast, ALL + BFLOAT16 + FLOAT8, tolerance=0),
    "Cast": Operator(cast, ALL + BFLOAT16 + FLOAT8 + NARROW + STRINGS, tolerance=0),
    "CastLike": Operator(cast_like, ALL + BFLOAT16 + FLOAT8 + NARROW, tolerance=0),
    "Identity": Operator(identity, ALL + STRINGS, tolerance=0),
}


@agreement(OPERATORS)
def test_casts(case):
    case.check()
