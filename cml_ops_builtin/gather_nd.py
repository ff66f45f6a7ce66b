"""GatherND: slices of a tensor, each chosen by a tuple of indices.

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
from cml_ops_builtin._shared.positions import tuple_places


def gather_nd(x, indices, *, batch_dims=0):
    return (np.asarray(x[tuple_places(indices, x.shape, batch_dims)], dtype=x.dtype),)


def gather_nd_axis(rank, shape, *, batch_dims=0):
    return batch_dims if shape[-1] == 1 else None


def gather_nd_spread(indices, axis, rank):
    return indices.reshape(indices.shape[:-1] + (1,) * (rank - axis - 1))


@hookimpl
def cml_op():
    x = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    return OpPlugin(
        schema=OpSchema("GatherND", since_versions=(11, 12, 13), kind=OpKind.MOVEMENT),
        numpy_op=gather_nd,
        quantized_op=GatheringQuantizedOp(gather_nd, gather_nd_axis, gather_nd_spread),
        examples=(
            OpExample((x, np.array([[0, 1], [1, 0], [1, 0]])), name="slices"),
            OpExample((x, np.array([[[0, 0, -1]]])), opset=11, name="elements"),
            OpExample((x, np.array([[1], [0]])), {"batch_dims": 1}, name="one batch axis"),
            OpExample((x[0, 0], np.array([1])), name="a single number"),
            OpExample(
                (x[0], np.array([[1], [-2]])),
                encrypted=(1,),
                tolerance=0.0,
                name="encrypted indices",
            ),
            OpExample(
                (x[0].astype(np.int32), np.array([[1], [0]])),
                {"batch_dims": 1},
                encrypted=(0, 1),
                n_bits=3,
                tolerance=0.0,
                name="data and indices encrypted",
            ),
        ),
        restrictions="the last axis of encrypted indices must have size 1",
    )
