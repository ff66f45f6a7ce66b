"""Clip: each element kept within `min` and `max`; where min is above max, max holds.

Without a bound, that of the type holds: infinities become the largest finite numbers.
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


def clip(x, min=None, max=None):
    for name, bound in (("min", min), ("max", max)):
        if np.size(bound) != 1:
            raise AttributeValueError(f"shape of {name}", bound.shape, "that of a number")
    return bounded(x, *(bound if bound is None else bound.reshape(()) for bound in (min, max)))


def bounded(x, min=None, max=None):
    """Clip by bounds that have the shape of x, or none."""
    least, most = (min, max) if x.dtype.kind in "iu" else (_bound(x, min, -1), _bound(x, max, 1))
    if least is not None:
        x = np.maximum(x, least)
    if most is not None:
        x = np.minimum(x, most)
    return (x,)


def _bound(x, stated, sign):
    if stated is not None:
        return stated
    real = x.dtype.type
    return np.nextafter(real(sign * np.inf), real(0))


@hookimpl
def cml_op():
    x = np.array([[-2.0, -0.5, 0.0, 1.5]], dtype=np.float32)
    integers = np.array([[-7, -1, 0, 5]])
    low, high = np.array(-1.0, dtype=np.float32), np.array(1.0, dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Clip", since_versions=(11, 12, 13), kind=OpKind.ELEMENTWISE),
        numpy_op=clip,
        quantized_op=ElementwiseQuantizedOp(bounded),
        examples=(
            OpExample((x, low, high), tolerance=0.05),
            OpExample((x, None, high), tolerance=0.05, name="upper bound"),
            OpExample((x, low), name="lower bound"),
            OpExample((x, high, low), tolerance=0.01, name="crossed bounds"),
            OpExample(
                (integers, np.array(-2), np.array(3)), opset=12, tolerance=0.01, name="integers"
            ),
        ),
    )
