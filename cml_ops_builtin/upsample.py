"""Upsample: a tensor enlarged along its axes by the scales it is given, nearest or linear.

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


def upsample(x, scales, *, mode):
    return (resize(x, early_steps(x.shape, scales, mode=mode, least=1.0)),)


def quantized_upsample(ctx: LoweringContext, x, scales, *, mode):
    if isinstance(scales, EncryptedTensor):
        ctx.refuse("scales must be clear")
    return (resize_encrypted(ctx, x, early_steps(x.shape, scales, mode=mode, least=1.0)),)


@hookimpl
def cml_op():
    x = np.array([[1.0, 2.0], [-3.0, 4.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Upsample", since_versions=(9,)),
        numpy_op=upsample,
        quantized_op=quantized_upsample,
        examples=(
            OpExample((x, np.float32([2.0, 3.0])), tolerance=0.04, name="nearest"),
            OpExample(
                (x[:1], np.float32([1.0, 2.0])),
                {"mode": "linear"},
                (np.array([[1.0, 1.5, 2.0, 2.0]], dtype=np.float32),),
                tolerance=0.04,
                name="linear",
            ),
        ),
        restrictions="the scales must be clear",
    )
