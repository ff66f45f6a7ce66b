"""Scatter: the first form of ScatterElements, which took its place in opset 11."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    MovementQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.scattering import elements_scattered


def scatter(data, indices, updates, *, axis):
    return (elements_scattered(data, indices, updates, axis),)


@hookimpl
def cml_op():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    updates = np.array([[9.0, -3.0, 7.0]], dtype=np.float32)
    changed = np.array([[0.0, -3.0, 2.0], [9.0, 4.0, 7.0]], dtype=np.float32)
    both = np.array([[0.0, 9.0, 2.0], [3.0, 4.0, 5.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Scatter", since_versions=(9,), kind=OpKind.MOVEMENT),
        numpy_op=scatter,
        quantized_op=MovementQuantizedOp(scatter, moved=(0, 2)),
        # The onnx package has no reference for it.
        examples=(
            OpExample(
                (x, np.array([[1, 0, 1]]), updates),
                outputs=(changed,),
                tolerance=0.04,
                name="clear updates",
            ),
            OpExample(
                (x, np.array([[1]]), updates[:, :1]),
                {"axis": -1},
                outputs=(both,),
                encrypted=(0, 2),
                opset=10,
                tolerance=0.04,
                lookups=0,
                name="both encrypted, last axis",
            ),
        ),
        restrictions="the indices must be clear",
    )
