"""GatherElements: an element for each index, along an axis of a tensor of the same rank.

With clear indices it costs nothing. An encrypted index into a clear table is a decode, so no
lookup of its own. Into encrypted data, an index among n places costs n - 1 lookups of
its own bits, and each element that it chooses n lookups of one bit more than the activation width.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.encrypted_index import GatheringQuantizedOp
from cml_ops_builtin._shared.positions import element_places, one_axis


def gather_elements(x, indices, *, axis):
    return (x[element_places(indices, x.shape, axis)],)


def element_axis(rank, shape, *, axis):
    return one_axis(axis, rank)


def element_spread(indices, axis, rank):
    return indices


@hookimpl
def cml_op():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    return OpPlugin(
        schema=OpSchema("GatherElements", since_versions=(11, 13), kind=OpKind.MOVEMENT),
        numpy_op=gather_elements,
        quantized_op=GatheringQuantizedOp(gather_elements, element_axis, element_spread),
        examples=(
            OpExample((x, np.array([[1, 0, -1]])), name="first axis"),
            OpExample((x, np.array([[0, 0, 2, 2], [2, 1, 0, -3]])), {"axis": 1}, name="repeats"),
            OpExample(
                (x, np.array([[2]])),
                {"axis": -1},
                (np.array([[2.0]], dtype=np.float32),),
                name="fewer indices than data",
            ),
            OpExample(
                (x, np.array([[1, 0, -1]])), encrypted=(1,), tolerance=0.0, name="encrypted indices"
            ),
            OpExample(
                (x[:, :2], np.array([[1, -2], [0, 1]])),
                {"axis": 1},
                encrypted=(0, 1),
                n_bits=3,
                tolerance=0.05,
                name="data and indices encrypted",
            ),
        ),
    )
