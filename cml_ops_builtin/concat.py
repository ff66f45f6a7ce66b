"""Concat: tensors one after another along an axis.

Encrypted tensors need no common scale for it: each element keeps its own decode.
"""

from __future__ import annotations

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
from cml_ops_builtin._shared.positions import one_axis


def concat(*tensors, axis):
    axis = one_axis(axis, tensors[0].ndim)
    around = [(*tensor.shape[:axis], *tensor.shape[axis + 1 :]) for tensor in tensors]
    if any(tensor.ndim != tensors[0].ndim for tensor in tensors) or len(set(around)) > 1:
        shapes = tuple(tensor.shape for tensor in tensors)
        raise AttributeValueError("shapes", shapes, f"shapes that differ along axis {axis} alone")
    return (np.concatenate(tensors, axis=axis),)


@hookimpl
def cml_op():
    x = np.array([[-1.0, 0.5, 2.0]], dtype=np.float32)
    y = np.array([[10.0, 30.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Concat", since_versions=(4, 11, 13), kind=OpKind.MOVEMENT),
        numpy_op=concat,
        quantized_op=MovementQuantizedOp(concat, moved=None),
        examples=(
            OpExample((x, y), {"axis": 1}, encrypted=(0, 1), lookups=0, name="both encrypted"),
            OpExample((y, x), {"axis": -1}, encrypted=(1,), name="after a constant"),
            OpExample((x, x + 1, 3 * x), {"axis": 0}, encrypted=(0, 2), name="three tensors"),
            OpExample((x,), {"axis": 0}, opset=7, name="one tensor, opset 7"),
        ),
    )
