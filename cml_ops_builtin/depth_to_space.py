"""DepthToSpace: channels rearranged into blocks of pixels."""

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


def depth_to_space(x, *, blocksize, mode="DCR"):
    if mode not in ("DCR", "CRD"):
        raise AttributeValueError("mode", mode, "DCR or CRD")
    if x.ndim != 4 or blocksize < 1 or x.shape[1] % blocksize**2:
        expected = f"four axes, the channels a multiple of {blocksize} * {blocksize}"
        raise AttributeValueError("shape", x.shape, expected)
    count, channels, height, width = x.shape
    depth = channels // blocksize**2
    if mode == "DCR":
        blocks = x.reshape(count, blocksize, blocksize, depth, height, width)
        moved = blocks.transpose(0, 3, 4, 1, 5, 2)
    else:
        blocks = x.reshape(count, depth, blocksize, blocksize, height, width)
        moved = blocks.transpose(0, 1, 4, 2, 5, 3)
    return (moved.reshape(count, depth, height * blocksize, width * blocksize),)


@hookimpl
def cml_op():
    x = np.arange(12, dtype=np.float32).reshape(1, 4, 1, 3)
    y = np.arange(8, dtype=np.float32).reshape(1, 8, 1, 1)
    return OpPlugin(
        schema=OpSchema("DepthToSpace", since_versions=(1, 11, 13, 28), kind=OpKind.MOVEMENT),
        numpy_op=depth_to_space,
        quantized_op=MovementQuantizedOp(depth_to_space),
        examples=(
            OpExample((x,), {"blocksize": 2}, opset=13),
            OpExample((y,), {"blocksize": 2, "mode": "CRD"}, opset=13, name="CRD"),
            OpExample((y,), {"blocksize": 2}, opset=7, name="opset 7"),
        ),
    )
