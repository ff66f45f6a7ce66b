"""Trilu: the upper or the lower triangle of matrices."""

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


def trilu(x, k=None, *, upper):
    """Return matrices with zeros beyond the k-th diagonal."""
    diagonal = 0 if k is None else int(np.asarray(k).item())
    return (np.triu(x, diagonal) if upper else np.tril(x, diagonal),)


@hookimpl
def cml_op():
    """Trilu of com.microsoft, as PyTorch wrote it before ai.onnx had one."""
    x = np.float32([[[1, 2, 3], [4, 5, 6]]])
    upper = np.float32([[[1, 2, 3], [0, 5, 6]]])
    lower = np.float32([[[0, 0, 0], [4, 0, 0]]])
    return OpPlugin(
        schema=OpSchema(
            "Trilu",
            (1,),
            OpKind.MOVEMENT,
            domain="com.microsoft",
            attribute_defaults={"upper": 1},
        ),
        numpy_op=trilu,
        quantized_op=MovementQuantizedOp(trilu),
        examples=(
            OpExample((x,), outputs=(upper,), lookups=0),
            OpExample((x, np.int64(-1)), {"upper": 0}, (lower,), lookups=0, name="lower"),
        ),
    )
