"""Resize of opset 10: output element i along an axis is read at i / scale, nearest or linear.

Under encryption it costs no lookup.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.resize_steps import early_steps
from cml_ops_builtin._shared.resizing import resize, resize_encrypted


def resize_10(x, scales, *, mode):
    return (resize(x, early_steps(x.shape, scales, mode=mode)),)


def quantized_resize_10(ctx: LoweringContext, x, scales, *, mode):
    if isinstance(scales, EncryptedTensor):
        ctx.refuse("scales must be clear")
    return (resize_encrypted(ctx, x, early_steps(x.shape, scales, mode=mode)),)


@hookimpl
def cml_op():
    x = np.array([[1.0, 2.0, -3.0, 4.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Resize", since_versions=(10,)),
        numpy_op=resize_10,
        quantized_op=quantized_resize_10,
        examples=(
            OpExample(
                (x, np.float32([2.0, 0.6])),
                {},
                (np.array([[1.0, -3.0], [1.0, -3.0]], dtype=np.float32),),
                tolerance=0.06,
                name="nearest",
            ),
            OpExample(
                (x, np.float32([1.0, 1.5])),
                {"mode": "linear"},
                (np.array([[1.0, 5 / 3, 1 / 3, -3.0, 5 / 3, 4.0]], dtype=np.float32),),
                tolerance=0.04,
                name="linear",
            ),
        ),
        restrictions="the scales must be clear",
    )
