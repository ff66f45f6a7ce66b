"""Expand: a tensor repeated along axes of size 1, by the broadcasting rule."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    MovementQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    check_size,
    hookimpl,
)
from cml_ops_builtin._shared.positions import integers


def expand(x, shape):
    wanted = integers(shape)
    try:
        whole = np.broadcast_shapes(x.shape, wanted)
    except ValueError:
        expected = f"a shape that {x.shape} broadcasts with"
        raise AttributeValueError("shape", wanted, expected) from None
    check_size(whole, x.dtype)
    return (np.broadcast_to(x, whole),)


@hookimpl
def cml_op():
    x = np.array([[1.0], [2.0], [3.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Expand", since_versions=(8, 13), kind=OpKind.MOVEMENT),
        numpy_op=expand,
        quantized_op=MovementQuantizedOp(expand),
        examples=(
            OpExample((x, np.array([2, 1, 2])), name="a new axis and a longer one"),
            OpExample((x, np.array([1])), name="as it is"),
            OpExample((x[0, 0], np.array([2, 2])), opset=8, name="a number to a matrix"),
        ),
    )
