"""ScatterND: a copy of a tensor with an update for each tuple of indices."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.positions import tuple_places
from cml_ops_builtin._shared.scattering import ScatterQuantizedOp, scattered


def scatter_nd(data, indices, updates, *, reduction="none"):
    places = tuple_places(indices, data.shape)
    shape = indices.shape[:-1] + data.shape[len(places) :]
    if updates.shape != shape:
        raise AttributeValueError("shape of updates", updates.shape, str(shape))
    return (scattered(data, places, updates, reduction),)


@hookimpl
def cml_op():
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    rows = np.array([[9.0, -3.0], [7.0, 1.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("ScatterND", since_versions=(11, 13, 16, 18), kind=OpKind.MOVEMENT),
        numpy_op=scatter_nd,
        quantized_op=ScatterQuantizedOp(scatter_nd),
        examples=(
            OpExample((x, np.array([[2], [0]]), rows), name="rows"),
            OpExample(
                (x, np.array([[0, 1], [-1, 0]]), rows[0]),
                encrypted=(0, 2),
                opset=11,
                name="elements, both encrypted",
            ),
            OpExample(
                (x, np.array([[1], [1]]), rows),
                {"reduction": "max"},
                encrypted=(),
                name="largest of all updates for one place",
            ),
        ),
        restrictions='reduction must be "none", the indices clear',
    )
