"""ScatterElements: a copy of a tensor with an update for each index along an axis."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.scattering import ScatterQuantizedOp, elements_scattered


def scatter_elements(data, indices, updates, *, axis, reduction="none"):
    return (elements_scattered(data, indices, updates, axis, reduction),)


@hookimpl
def cml_op():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    updates = np.array([[9.0, -3.0, 7.0]], dtype=np.float32)
    one = np.array([[1]])
    return OpPlugin(
        schema=OpSchema("ScatterElements", since_versions=(11, 13, 16, 18), kind=OpKind.MOVEMENT),
        numpy_op=scatter_elements,
        quantized_op=ScatterQuantizedOp(scatter_elements),
        examples=(
            OpExample((x, np.array([[1, 0, -1]]), updates), name="clear updates"),
            OpExample((x, one, updates[:, :1]), {"axis": 1}, encrypted=(0, 2), name="both"),
            OpExample((x, one, updates[:, :1]), {"axis": -1}, encrypted=(2,), opset=11),
            OpExample(
                (x, np.array([[0, 0, 1]]), updates),
                {"axis": 1, "reduction": "add"},
                encrypted=(),
                name="sum of updates for one place",
            ),
        ),
        restrictions='reduction must be "none", the indices clear',
    )
