"""Reshape: the same elements in another shape; 0 keeps a size and -1 takes what is left."""

from __future__ import annotations

import math

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    MovementQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.flags import flag
from cml_ops_builtin._shared.positions import integers


def reshape(x, shape, *, allowzero=0):
    wanted = integers(shape)
    allowzero = flag("allowzero", allowzero)
    if min(wanted, default=0) < -1 or wanted.count(-1) > 1:
        raise AttributeValueError("shape", wanted, "sizes of 0 or more, and at most one -1")
    if allowzero and 0 in wanted and -1 in wanted:
        raise AttributeValueError("shape", wanted, "either 0 or -1 where allowzero is set")
    if not allowzero and 0 in wanted[x.ndim :]:
        raise AttributeValueError("shape", wanted, f"0 only for the {x.ndim} axes of the input")
    sizes = [
        x.shape[axis] if size == 0 and not allowzero else size for axis, size in enumerate(wanted)
    ]
    if -1 in sizes:
        known = math.prod(size for size in sizes if size != -1)
        if known == 0 or x.size % known:
            raise AttributeValueError("shape", wanted, f"a shape of {x.size} elements")
        sizes[sizes.index(-1)] = x.size // known
    if math.prod(sizes) != x.size:
        raise AttributeValueError("shape", wanted, f"a shape of {x.size} elements")
    return (x.reshape(sizes),)


@hookimpl
def cml_op():
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    return OpPlugin(
        schema=OpSchema(
            "Reshape", since_versions=(5, 13, 14, 19, 21, 23, 24, 25), kind=OpKind.MOVEMENT
        ),
        numpy_op=reshape,
        quantized_op=MovementQuantizedOp(reshape),
        examples=(
            OpExample((x, np.array([1, 2, 6])), lookups=0, name="plain shape"),
            OpExample((x, np.array([0, -1])), name="0 keeps a size, -1 takes the rest"),
            OpExample((x, np.array([4, 3])), opset=7, name="opset 7"),
            OpExample(
                (np.zeros((0, 3), dtype=np.float32), np.array([3, 0])),
                {"allowzero": 1},
                encrypted=(),
                name="allowzero",
            ),
        ),
    )
