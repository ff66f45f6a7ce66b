"""Normalizer: each sample divided by its largest element, or by its L1 or L2 norm.

Quantized as an LpNormalization, or as a ReduceMax and a Div.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    GraphWriter,
    OpExample,
    OpPlugin,
    OpSchema,
    hookimpl,
)

#: From here on ReduceMax takes its axes as an input.
_AXES_AS_INPUT = 18


def _largest(x):
    return x.max(axis=-1, keepdims=True)


def _sum_of_sizes(x):
    return np.abs(x).sum(axis=-1, keepdims=True)


def _length(x):
    return np.sqrt(np.square(x).sum(axis=-1, keepdims=True))


_DIVISORS = {"MAX": _largest, "L1": _sum_of_sizes, "L2": _length}


def _checked(norm):
    if norm not in _DIVISORS:
        raise AttributeValueError("norm", norm, f"one of {', '.join(_DIVISORS)}")
    return norm


def normalizer(x, *, norm):
    if x.ndim not in (1, 2):
        raise AttributeValueError("rank of X", x.ndim, "1 or 2")
    divide = _DIVISORS[_checked(norm)]
    wide = x.astype(np.float64 if x.dtype == np.float64 else np.float32, copy=False)
    divisor = divide(wide) if wide.shape[-1] else np.ones(())
    return ((wide / np.where(divisor == 0, 1, divisor)).astype(np.float32),)


def written(writer: GraphWriter, x, *, norm):
    rows = writer.cast(x, np.float32)
    if _checked(norm) != "MAX":
        return (writer.add("LpNormalization", rows, axis=-1, p=int(norm[1])),)
    if writer.opset >= _AXES_AS_INPUT:
        largest = writer.add("ReduceMax", rows, writer.constant([-1]), keepdims=1)
    else:
        largest = writer.add("ReduceMax", rows, axes=[-1], keepdims=1)
    # Whether a number is not zero: before opset 11, Equal takes no floats.
    some = writer.cast(largest, bool)
    divisor = writer.add("Where", some, largest, writer.constant(1.0, np.float32))
    return (writer.add("Div", rows, divisor),)


@hookimpl
def cml_op():
    x = np.array([[1.0, -2.0, 3.0], [0.5, 0.25, -0.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Normalizer", since_versions=(1,), domain="ai.onnx.ml"),
        numpy_op=normalizer,
        body=written,
        tail=True,
        examples=(
            OpExample(
                (x,),
                {"norm": "MAX"},
                (np.float32([[1 / 3, -2 / 3, 1.0], [1.0, 0.5, -1.0]]),),
                encrypted=(),
                name="largest element",
            ),
            OpExample(
                (np.float32([[1.0, 2.0, -0.5]]),),
                {"norm": "MAX"},
                (np.float32([[0.5, 1.0, -0.25]]),),
                n_bits=2,
                tolerance=0.3,
                name="largest element at two bits",
            ),
            OpExample(
                (np.float32([[1.0, -2.0], [0.5, 0.25]]),),
                {"norm": "L1"},
                (np.float32([[1 / 3, -2 / 3], [2 / 3, 1 / 3]]),),
                n_bits=3,
                tolerance=0.2,
                name="sum of sizes",
            ),
            OpExample((x[:, :2],), {"norm": "L2"}, n_bits=3, tolerance=0.25, name="length"),
            OpExample(
                (np.array([0, 0]),),
                {"norm": "L2"},
                (np.float32([0, 0]),),
                encrypted=(),
                name="a vector of zeros",
            ),
        ),
        restrictions="by the largest element, quotients are packed into one lookup each",
    )
