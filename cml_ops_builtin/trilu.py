"""Trilu: the upper or lower triangle of matrices, zeros elsewhere."""

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
from cml_ops_builtin._shared.positions import integers


def trilu(x, k=None, *, upper):
    if x.ndim < 2:
        raise AttributeValueError("shape", x.shape, "two axes or more")
    diagonal = 0 if k is None else integers(k)[0]
    rows, columns = x.shape[-2:]
    above = np.arange(columns) - np.arange(rows)[:, np.newaxis]
    kept = above >= diagonal if upper else above <= diagonal
    return (np.where(kept, x, np.zeros((), dtype=x.dtype)),)


@hookimpl
def cml_op():
    x = np.arange(1, 10, dtype=np.float32).reshape(3, 3)
    return OpPlugin(
        schema=OpSchema("Trilu", since_versions=(14,), kind=OpKind.MOVEMENT),
        numpy_op=trilu,
        quantized_op=MovementQuantizedOp(trilu),
        examples=(
            OpExample((x,), name="upper"),
            OpExample((x, np.array(-1)), {"upper": 0}, name="lower, below the diagonal"),
            OpExample((x[np.newaxis, :2], np.array(1)), name="upper, above the diagonal"),
        ),
        restrictions="k must be clear",
    )
