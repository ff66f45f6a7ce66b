"""Split at opset 13 to 17: parts of a tensor, their lengths given by an input."""

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
from cml_ops_builtin._shared.positions import integers
from cml_ops_builtin._shared.splitting import equal_parts, parts


def split_13(x, split=None, *, axis, n_outputs):
    if split is not None:
        return parts(x, integers(split), axis, n_outputs)
    return equal_parts(x, n_outputs, axis)


@hookimpl
def cml_op():
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    return OpPlugin(
        schema=OpSchema("Split", since_versions=(13,), kind=OpKind.MOVEMENT, counts_outputs=True),
        numpy_op=split_13,
        quantized_op=MovementQuantizedOp(split_13),
        examples=(
            OpExample((x,), {"axis": 1}, (x[:, :2], x[:, 2:]), n_outputs=2, name="equal parts"),
            OpExample((x, np.array([1, 1])), n_outputs=2),
            OpExample((x, np.array([1, 0, 3])), {"axis": -1}, n_outputs=3, name="negative axis"),
        ),
    )
