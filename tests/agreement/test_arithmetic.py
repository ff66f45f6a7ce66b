"""Arithmetic, comparisons and logic, with broadcasting."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.agreement.harness import Fault, Node, Operator, agreement
from tests.agreement.values import (
    ALL,
    BFLOAT16,
    BOOL,
    FLOATS,
    HALF,
    INTEGERS,
    SIGNED,
    STRINGS,
    UNSIGNED,
    array,
    broadcastable,
    optional,
    shape,
)


def binary(draw, dtype, revision):
    return Node([array(draw, dtype, size) for size in broadcastable(draw)])


def divisor(draw, dtype, size):
    """Integers other than zero; -1 is left out too, by which the least one cannot be divided."""
    values = array(draw, dtype, size)
    if dtype.kind == "f":
        return values
    refused = (values == 0) | ((values < 0) & (values > -2))
    return np.where(refused, np.array(3, dtype=dtype), values)


def div(draw, dtype, revision):
    first, second = broadcastable(draw)
    return Node([array(draw, dtype, first), divisor(draw, dtype, second)])


def mod(draw, dtype, revision):
    node = div(draw, dtype, revision)
    if dtype.kind == "f" and revision < 28:
        return Node(node.inputs, {"fmod": 1})
    return Node(node.inputs, optional(draw, fmod=draw(st.integers(0, 1))))


def pow_(draw, dtype, revision):
    first, second = broadcastable(draw)
    kind = dtype if revision < 12 else draw(st.sampled_from(POWERS))
    if dtype.kind in "iu":
        base = array(draw, dtype, first, kinds=("ties",))
        return Node([base, array(draw, kind, second, kinds=("ties",), low=0, high=4)])
    kinds = ("plain", "ties", "special") if kind == dtype else ("ties",)
    return Node([array(draw, dtype, first), array(draw, kind, second, kinds=kinds)])


def variadic(draw, dtype, revision):
    count = draw(st.integers(1, 4))
    sizes = [shape(draw)] * count if revision < 8 else broadcastable(draw, count)
    return Node([array(draw, dtype, size) for size in sizes])


def prelu(draw, dtype, revision):
    size = shape(draw)
    slope = size[draw(st.integers(0, len(size))) :]
    slope = tuple(1 if draw(st.integers(0, 2)) == 2 else n for n in slope)
    return Node([array(draw, dtype, size), array(draw, dtype, slope)])


def bit_shift(draw, dtype, revision):
    first, second = broadcastable(draw)
    low, high = (-2 if dtype.kind == "i" else 0, 70) if revision >= 28 else (0, 7)
    by = array(draw, dtype, second, low=low, high=high)
    return Node(
        [array(draw, dtype, first), by], {"direction": draw(st.sampled_from(["LEFT", "RIGHT"]))}
    )


def where(draw, dtype, revision):
    sizes = broadcastable(draw, 3)
    types = (np.dtype(bool), dtype, dtype)
    return Node([array(draw, kind, size) for kind, size in zip(types, sizes, strict=True)])


POWERS = FLOATS + SIGNED[2:]
_NUMBERS = FLOATS + HALF + INTEGERS

OPERATORS = {
    **dict.fromkeys(("Add", "Sub", "Mul"), Operator(binary, _NUMBERS + BFLOAT16)),
    **dict.fromkeys(("And", "Or", "Xor"), Operator(binary, BOOL)),
    **dict.fromkeys(("BitwiseAnd", "BitwiseOr", "BitwiseXor"), Operator(binary, INTEGERS)),
    **dict.fromkeys(
        ("Greater", "Less", "GreaterOrEqual", "LessOrEqual"), Operator(binary, _NUMBERS)
    ),
    **dict.fromkeys(("Max", "Min"), Operator(variadic, _NUMBERS)),
    **dict.fromkeys(("Mean", "Sum"), Operator(variadic, FLOATS + HALF)),
    "BitShift": Operator(bit_shift, UNSIGNED + SIGNED),
    "Div": Operator(div, _NUMBERS),
    "Equal": Operator(binary, ALL + STRINGS),
    "Mod": Operator(mod, _NUMBERS),
    "PRelu": Operator(
        prelu,
        _NUMBERS,
        faults=[
            Fault(
                "reference",
                "it multiplies positive elements by the slope too, which may be infinite",
                when=lambda node, case: not np.isfinite(node.inputs[1]).all(),
            )
        ],
    ),
    "Pow": Operator(
        pow_,
        FLOATS + HALF + SIGNED[2:],
        faults=[
            Fault(
                "onnxruntime",
                "it computes float64 to the power of float32 in float32",
                when=lambda node, case: (
                    [t.dtype.name for t in node.inputs] == ["float64", "float32"]
                ),
            )
        ],
    ),
    "Where": Operator(where, ALL + STRINGS, typed=1),
}


@agreement(OPERATORS)
def test_arithmetic(case):
    case.check()
