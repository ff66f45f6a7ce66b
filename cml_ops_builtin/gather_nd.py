"""GatherND: slices of a tensor, each chosen by a tuple of clear indices."""

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
from cml_ops_builtin._shared.positions import tuple_places


def gather_nd(x, indices, *, batch_dims=0):
    return (np.asarray(x[tuple_places(indices, x.shape, batch_dims)], dtype=x.dtype),)


@hookimpl
def cml_op():
    x = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    return OpPlugin(
        schema=OpSchema("GatherND", since_versions=(11, 12, 13), kind=OpKind.MOVEMENT),
        numpy_op=gather_nd,
        quantized_op=MovementQuantizedOp(gather_nd),
        examples=(
            OpExample((x, np.array([[0, 1], [1, 0], [1, 0]])), name="slices"),
            OpExample((x, np.array([[[0, 0, -1]]])), opset=11, name="elements"),
            OpExample((x, np.array([[1], [0]])), {"batch_dims": 1}, name="one batch axis"),
            OpExample((x[0, 0], np.array([1])), name="a single number"),
        ),
        restrictions="the indices must be clear",
    )
