"""GatherElements: an element for each index, along an axis of a tensor of the same rank."""

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
from cml_ops_builtin._shared.positions import element_places


def gather_elements(x, indices, *, axis):
    return (x[element_places(indices, x.shape, axis)],)


@hookimpl
def cml_op():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    return OpPlugin(
        schema=OpSchema("GatherElements", since_versions=(11, 13), kind=OpKind.MOVEMENT),
        numpy_op=gather_elements,
        quantized_op=MovementQuantizedOp(gather_elements),
        examples=(
            OpExample((x, np.array([[1, 0, -1]])), name="first axis"),
            OpExample((x, np.array([[0, 0, 2, 2], [2, 1, 0, -3]])), {"axis": 1}, name="repeats"),
            OpExample(
                (x, np.array([[2]])),
                {"axis": -1},
                (np.array([[2.0]], dtype=np.float32),),
                name="fewer indices than data",
            ),
        ),
        restrictions="the indices must be clear",
    )
