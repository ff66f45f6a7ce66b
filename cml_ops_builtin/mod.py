"""Mod: the remainder of a division, with the sign of the divisor or (`fmod`) of the dividend.

Under encryption it is free with one clear operand. Two encrypted ones are packed into one lookup,
as wide as both together.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    ElementwiseQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.division import check_divisor


def mod(a, b, *, fmod):
    if fmod not in (0, 1):
        raise AttributeValueError("fmod", fmod, "0 or 1")
    check_divisor(b)
    return remainder(a, b, fmod=fmod)


def remainder(a, b, *, fmod):
    """Divide whatever the divisor: tables also hold integers that no divisor ever is."""
    return ((np.fmod if fmod else np.remainder)(a, b),)


@hookimpl
def cml_op():
    x = np.array([[-3.5, 0.5, 4.0]], dtype=np.float32)
    integers = np.array([[-7, 7, 5]], dtype=np.int32)
    divisors = np.array([[2, -3, 4]], dtype=np.int32)
    return OpPlugin(
        schema=OpSchema("Mod", since_versions=(10, 13, 28), kind=OpKind.ELEMENTWISE),
        numpy_op=mod,
        quantized_op=ElementwiseQuantizedOp(remainder),
        examples=(
            OpExample((integers, divisors), tolerance=0.0, name="sign of the divisor"),
            OpExample((integers, divisors), {"fmod": 1}, tolerance=0.0, name="fmod of integers"),
            OpExample((integers, divisors), encrypted=(0, 1), tolerance=0.0, name="both encrypted"),
            OpExample(
                (x, np.array([1.5, 1.5, -2.5], dtype=np.float32)),
                {"fmod": 1},
                tolerance=0.0,
                name="fmod of floats",
            ),
        ),
        restrictions="a remainder leaps at multiples of the divisor, so an operand that "
        "quantization moves across one gives a remainder far off",
    )
