"""Activation functions."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from tests.agreement.harness import Fault, Node, Operator, agreement
from tests.agreement.values import (
    BFLOAT16,
    FLOATS,
    HALF,
    INTEGERS,
    KINDS,
    SIGNED,
    array,
    optional,
    shape,
)


def activation(**attributes):
    """Draw nodes with these attributes, each a strategy, some left out."""

    def draw_node(draw, dtype, revision):
        stated = {name: draw(values) for name, values in attributes.items()}
        return Node([array(draw, dtype, shape(draw))], optional(draw, **stated))

    return draw_node


def numbers(low, high):
    """Numbers that float32 attributes hold exactly."""
    return st.integers(8 * low, 8 * high).map(lambda eighths: eighths / 8)


def swi_glu(draw, dtype, revision):
    size = shape(draw)
    alpha = optional(draw, alpha=draw(numbers(-2, 2)))
    # In bfloat16 the reference loses denormal numbers in between, to infinity times zero.
    kinds = ("plain", "ties") if dtype in BFLOAT16 else KINDS
    return Node([array(draw, dtype, size, kinds=kinds) for _ in range(2)], alpha)


def gelu(node, case):
    x = node.inputs[0].astype(np.float64)
    if node.attributes.get("approximate") == "tanh":
        gate = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    else:
        gate = np.vectorize(math.erf, otypes=[np.float64])(x / math.sqrt(2))
    return (0.5 * x * (1 + gate),)


def is_double(node, case):
    return case.dtype == np.float64


_DTYPES = FLOATS + HALF + BFLOAT16

OPERATORS = {
    "Celu": Operator(activation(alpha=numbers(1, 4)), _DTYPES),
    "Elu": Operator(activation(alpha=numbers(-2, 2)), _DTYPES),
    "Gelu": Operator(
        activation(approximate=st.sampled_from(["none", "tanh"])),
        _DTYPES,
        faults=[Fault("reference", "its erf rounds to float32 in between", when=is_double)],
        by_hand=gelu,
    ),
    "HardSigmoid": Operator(activation(alpha=numbers(-1, 1), beta=numbers(-1, 1)), _DTYPES),
    "HardSwish": Operator(
        activation(),
        _DTYPES,
        tolerance={"float64": 1e-7},
        why="the reference takes 1/6 from an attribute, which is float32",
    ),
    "LeakyRelu": Operator(activation(alpha=numbers(-1, 1)), _DTYPES),
    "Mish": Operator(activation(), _DTYPES),
    "Relu": Operator(activation(), _DTYPES + SIGNED),
    "Selu": Operator(activation(alpha=numbers(-2, 2), gamma=numbers(-2, 2)), _DTYPES),
    "Shrink": Operator(
        activation(lambd=numbers(0, 2), bias=numbers(-2, 2)),
        _DTYPES + INTEGERS,
        faults=[
            Fault(
                "onnxruntime",
                "it rounds to float32 in between",
                when=lambda node, case: case.dtype.itemsize > 2 or case.dtype.kind in "iu",
            )
        ],
    ),
    "Sigmoid": Operator(activation(), _DTYPES),
    "Softplus": Operator(activation(), _DTYPES),
    "Softsign": Operator(activation(), _DTYPES),
    "Swish": Operator(activation(alpha=numbers(-2, 2)), _DTYPES),
    "SwiGLU": Operator(swi_glu, _DTYPES),
    "Tanh": Operator(activation(), _DTYPES),
    "ThresholdedRelu": Operator(activation(alpha=numbers(-2, 2)), FLOATS + HALF),
}


@agreement(OPERATORS)
def test_activations(case):
    case.check()
