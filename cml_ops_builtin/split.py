"""Split: parts of a tensor along an axis, of given lengths or in a given number."""

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
from cml_ops_builtin._shared.splitting import equal_parts, parts


def split(x, split=None, *, num_outputs, axis, n_outputs):
    if (split is None) == (num_outputs is None):
        raise AttributeValueError("num_outputs", num_outputs, "either it or the input split")
    if split is not None:
        return parts(x, integers(split), axis, n_outputs)
    if num_outputs != n_outputs:
        raise AttributeValueError("num_outputs", num_outputs, f"{n_outputs}, as the node has")
    return equal_parts(x, num_outputs, axis, shorter_last=True)


@hookimpl
def cml_op():
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    return OpPlugin(
        schema=OpSchema("Split", since_versions=(18,), kind=OpKind.MOVEMENT, counts_outputs=True),
        numpy_op=split,
        quantized_op=MovementQuantizedOp(split),
        examples=(
            OpExample((x,), {"num_outputs": 2}, n_outputs=2, name="equal parts"),
            OpExample(
                (x[:, :3],),
                {"num_outputs": 2, "axis": -1},
                (x[:, :2], x[:, 2:3]),
                n_outputs=2,
                name="a shorter last part",
            ),
            OpExample((x, np.array([1, 3])), {"axis": 1}, n_outputs=2, name="lengths"),
        ),
    )
