"""Pow: x to the power of y, with broadcasting; the result has the type of x.

With both encrypted, they are packed into one lookup, as wide as both together.
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
from cml_ops_builtin._shared.precision import widened


def pow_(x, y):
    if x.dtype.kind in "iu" and y.dtype.kind in "iu" and ((x == 0) & (y < 0)).any():
        raise AttributeValueError("Y", int(y[y < 0].flat[0]), "0 or more where X is 0")
    return power(x, y)


def power(x, y):
    """Compute powers whatever there is: tables also hold integers that nothing ever is."""
    if x.dtype.kind in "iu" and y.dtype.kind in "iu":
        return (_integer_power(x, y),)
    wide = widened(x)
    if y.size == 1 and y.ndim <= x.ndim and float(exponent := y.reshape(())[()]).is_integer():
        return (_whole_power(wide, float(exponent)).astype(x.dtype, copy=False),)
    return (np.power(wide, widened(y)).astype(x.dtype, copy=False),)


def _whole_power(x, exponent):
    """Raise to a whole number; NumPy is slow with negative bases, a hundred times with squares."""
    if exponent == 1:
        return x.copy()
    if exponent == 2:
        return np.square(x)
    if exponent == 3:
        return np.square(x) * x
    size = np.power(np.abs(x), x.dtype.type(exponent))
    return np.copysign(size, x) if exponent % 2 else size


def _integer_power(x, y):
    """Compute integer powers without going through floats; 1 / x^-y is cut to an integer."""
    y = y.astype(np.int64, copy=False)
    whole = np.power(x, np.maximum(y, 0)).astype(x.dtype, copy=False)
    if not (y < 0).any():
        return whole
    return np.where(y < 0, np.power(x.astype(np.float64), y).astype(x.dtype), whole)


@hookimpl
def cml_op():
    x = np.array([[0.5, 1.0, 1.5, 2.0]], dtype=np.float32)
    exponents = np.array([0.5, 2.0, 3.0, -1.0], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Pow", since_versions=(7, 12, 13, 15), kind=OpKind.ELEMENTWISE),
        numpy_op=pow_,
        quantized_op=ElementwiseQuantizedOp(power),
        examples=(
            OpExample((x, exponents), tolerance=0.01, name="clear exponents"),
            OpExample((x, np.array(2)), tolerance=0.01, name="square"),
            OpExample(
                (np.array(2.0, dtype=np.float32), x),
                encrypted=(1,),
                tolerance=0.01,
                name="clear base",
            ),
            # Four values each, which two bits hold exactly: wide packed lookups take minutes.
            OpExample(
                (x, np.array([[0.0, 1.0, 2.0, 3.0]], dtype=np.float32)),
                encrypted=(0, 1),
                tolerance=0.01,
                n_bits=2,
                name="both encrypted",
            ),
            OpExample((np.array([[-3, -1, 0, 2]]), np.array(3)), tolerance=0.01, name="integers"),
        ),
    )
