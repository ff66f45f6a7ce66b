"""Functions of one tensor, element by element."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from tests.agreement.harness import Fault, Node, Operator, agreement
from tests.agreement.values import (
    BFLOAT16,
    BOOL,
    FLOATS,
    HALF,
    INTEGERS,
    SIGNED,
    array,
    optional,
    shape,
)


def unary(draw, dtype, revision):
    return Node([array(draw, dtype, shape(draw))])


def is_inf(draw, dtype, revision):
    flags = optional(
        draw,
        detect_negative=draw(st.integers(0, 1)),
        detect_positive=draw(st.integers(0, 1)),
    )
    return Node([array(draw, dtype, shape(draw))], flags)


def clip(draw, dtype, revision):
    x = array(draw, dtype, shape(draw))
    if revision == 6:
        # onnxruntime refuses crossed bounds here.
        ends = {"min": draw(st.floats(-4, 0, width=32)), "max": draw(st.floats(0, 4, width=32))}
        return Node([x], optional(draw, **ends))
    kinds = ("plain", "ties")
    ends = [array(draw, dtype, (), kinds=kinds) if draw(st.booleans()) else None for _ in range(2)]
    while ends and ends[-1] is None:
        ends.pop()
    return Node([x, *ends], constants=draw(st.sampled_from([(), (1, 2)])))


def error_function(node, case):
    return (np.vectorize(math.erf, otypes=[np.float64])(node.inputs[0]),)


def leaves_infinities(node, case):
    """Whether a bound of Clip is the type's own, which infinities are beyond."""
    unbounded = len(node.inputs) < 3 or any(bound is None for bound in node.inputs)
    return case.revision > 6 and unbounded and np.isinf(node.inputs[0]).any()


def clipped(node, case):
    x, *ends = node.inputs
    low, high = (*ends, None, None)[:2]
    info = np.finfo(x.dtype)
    return (
        np.minimum(
            np.maximum(x, info.min if low is None else low), info.max if high is None else high
        ),
    )


TRANSCENDENTAL = (
    *("Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cos", "Cosh"),
    *("Exp", "Log", "Reciprocal", "Sin", "Sinh", "Sqrt", "Tan"),
)

OPERATORS = {
    **dict.fromkeys(TRANSCENDENTAL, Operator(unary, FLOATS + HALF + BFLOAT16)),
    **dict.fromkeys(("Ceil", "Floor", "Round"), Operator(unary, FLOATS + HALF, tolerance=0)),
    "Abs": Operator(unary, FLOATS + HALF + INTEGERS, tolerance=0),
    "BitwiseNot": Operator(unary, INTEGERS),
    "Clip": Operator(
        clip,
        FLOATS + HALF + INTEGERS,
        # Zeros of either sign are equal to a bound that is zero.
        tolerance=1e-9,
        why="only zeros of different signs may differ",
        faults=[
            Fault(
                "onnxruntime",
                "it computes in float32, whose bounds are not those of float16",
                when=lambda node, case: case.dtype == np.float16 and case.revision == 11,
            ),
            Fault("reference", "without a bound it leaves infinities", when=leaves_infinities),
        ],
        by_hand=clipped,
    ),
    "Erf": Operator(
        unary,
        FLOATS + HALF + BFLOAT16,
        faults=[
            Fault(
                "reference",
                "it rounds to float32 in between",
                when=lambda node, case: case.dtype == np.float64,
            )
        ],
        by_hand=error_function,
    ),
    "IsInf": Operator(is_inf, FLOATS + HALF + BFLOAT16),
    "IsNaN": Operator(unary, FLOATS + HALF + BFLOAT16),
    "Neg": Operator(unary, FLOATS + HALF + SIGNED, tolerance=0),
    "Not": Operator(unary, BOOL),
    "Sign": Operator(
        unary,
        FLOATS + HALF + INTEGERS,
        faults=[
            Fault(
                "onnxruntime",
                "NaN is zero in float16 alone",
                when=lambda node, case: case.dtype == np.float16 and np.isnan(node.inputs[0]).any(),
            )
        ],
    ),
}


@agreement(OPERATORS)
def test_unary(case):
    case.check()
