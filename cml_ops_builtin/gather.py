"""Gather: slices of a tensor along an axis, chosen by indices.

With clear indices it costs nothing. An encrypted index into a clear table is a decode, so no
lookup of its own; the rows of a table that is wider than high are the product of a one-hot index
(a lookup per row) with it. Into encrypted data, an index among n places costs n - 1 lookups of its
own bits, and each element that it chooses n lookups of one bit more than the activation width.
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
from cml_ops_builtin._shared.positions import from_front, one_axis


def gather(x, indices, *, axis):
    axis = one_axis(axis, x.ndim)
    chosen = np.take(x, from_front(indices, x.shape[axis]), axis=axis)
    return (np.asarray(chosen, dtype=x.dtype),)


def gather_axis(rank, shape, *, axis):
    return one_axis(axis, rank)


def gather_spread(indices, axis, rank):
    return indices.reshape((1,) * axis + indices.shape + (1,) * (rank - axis - 1))


@hookimpl
def cml_op():
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    return OpPlugin(
        schema=OpSchema("Gather", since_versions=(1, 11, 13), kind=OpKind.MOVEMENT),
        numpy_op=gather,
        quantized_op=GatheringQuantizedOp(gather, gather_axis, gather_spread),
        examples=(
            OpExample(
                (x, np.array([[0, -1], [1, 1]])), lookups=0, name="repeated and negative indices"
            ),
            OpExample((x, np.array([1, 0])), {"axis": -1}, name="last axis"),
            OpExample((x, np.array(2)), name="one index takes the axis away"),
            OpExample((x[:, 0], np.array(-1)), name="a single number"),
            OpExample((x, np.array([1], dtype=np.int32)), opset=7, name="opset 7"),
            OpExample(
                (x, np.array([[0, 2, -1]])),
                encrypted=(1,),
                tolerance=0.0,
                lookups=6,
                max_bits=2,
                name="encrypted indices",
            ),
            OpExample(
                (np.float32([[1, 2, -3, 4], [0, 1, 1, -1], [2, 2, 4, 0]]), np.array([1, 0, 2])),
                encrypted=(1,),
                tolerance=0.0,
                name="encrypted indices of long rows",
            ),
            OpExample(
                (x[:, :1].astype(np.int64), np.array([2, -2])),
                encrypted=(0, 1),
                n_bits=3,
                tolerance=0.0,
                name="data and indices encrypted",
            ),
        ),
    )
