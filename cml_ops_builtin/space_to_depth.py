"""SpaceToDepth: blocks of pixels rearranged into channels."""

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


def space_to_depth(x, *, blocksize, mode="DCR"):
    if mode not in ("DCR", "CRD"):
        raise AttributeValueError("mode", mode, "DCR or CRD")
    if x.ndim != 4 or blocksize < 1 or x.shape[2] % blocksize or x.shape[3] % blocksize:
        expected = f"four axes, height and width multiples of {blocksize}"
        raise AttributeValueError("shape", x.shape, expected)
    count, depth, height, width = x.shape
    height, width = height // blocksize, width // blocksize
    blocks = x.reshape(count, depth, height, blocksize, width, blocksize)
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return (blocks.transpose(order).reshape(count, depth * blocksize**2, height, width),)


@hookimpl
def cml_op():
    x = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
    crd = x.reshape(1, 8, 1, 1)
    return OpPlugin(
        schema=OpSchema("SpaceToDepth", since_versions=(1, 13, 28), kind=OpKind.MOVEMENT),
        numpy_op=space_to_depth,
        quantized_op=MovementQuantizedOp(space_to_depth),
        examples=(
            OpExample((x,), {"blocksize": 2}, opset=13),
            OpExample((x,), {"blocksize": 2, "mode": "CRD"}, (crd,), opset=28, name="CRD"),
            OpExample((x,), {"blocksize": 1}, opset=7, name="opset 7"),
        ),
    )
