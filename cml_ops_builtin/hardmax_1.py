"""Hardmax of the input seen as a matrix: 1 for the first of the largest elements, 0 for the others.

Earlier revisions: all axes from `axis` on are one. Computed by the client after decryption if
nothing encrypted follows. On the server it costs the lookups of ArgMax.
"""

from __future__ import annotations

import math

import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    hookimpl,
    reshape,
)
from cml_ops_builtin._shared.flattening import on_matrix
from cml_ops_builtin._shared.ordering import GRID_RESTRICTION, quantized_hardmax
from cml_ops_builtin._shared.positions import one_axis
from cml_ops_builtin._shared.softmaxes import hardmax_along

hardmax_1 = on_matrix(hardmax_along)


def quantized_hardmax_1(ctx: LoweringContext, x, *, axis):
    axis = one_axis(axis, x.ndim)
    matrix = reshape(ctx, x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))
    (hot,) = quantized_hardmax(ctx, matrix, axis=1)
    back = reshape(ctx, hot, x.shape) if isinstance(hot, EncryptedTensor) else hot.reshape(x.shape)
    return (back,)


@hookimpl
def cml_op():
    odds = np.array([[[1, 2], [3, 4], [5, 1]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Hardmax", since_versions=(1, 11)),
        numpy_op=hardmax_1,
        quantized_op=quantized_hardmax_1,
        tail=True,
        examples=(
            OpExample(
                (np.log(odds),),
                outputs=((odds == 5).astype(np.float32),),
                n_bits=3,
                tolerance=0.0,
                name="all axes but the first",
            ),
            OpExample((np.log(odds),), {"axis": -1}, n_bits=3, tolerance=0.0, name="last axis"),
        ),
        restrictions=GRID_RESTRICTION,
    )
