"""Upsample before opset 9: a tensor enlarged along its axes by the scales in an attribute.

Under encryption it costs no lookup.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import LoweringContext, OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.resize_steps import early_steps
from cml_ops_builtin._shared.resizing import resize, resize_encrypted


def upsample_7(x, *, mode, scales):
    return (resize(x, early_steps(x.shape, scales, mode=mode, least=1.0)),)


def quantized_upsample_7(ctx: LoweringContext, x, *, mode, scales):
    return (resize_encrypted(ctx, x, early_steps(x.shape, scales, mode=mode, least=1.0)),)


@hookimpl
def cml_op():
    x = np.array([[1.0, 2.0, -3.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Upsample", since_versions=(7,)),
        numpy_op=upsample_7,
        quantized_op=quantized_upsample_7,
        examples=(
            OpExample(
                (x,),
                {"scales": [2.0, 1.5]},
                (np.array([[1.0, 1.0, 2.0, -3.0]] * 2, dtype=np.float32),),
                tolerance=0.04,
                name="nearest",
            ),
            OpExample(
                (x,),
                {"scales": [1.0, 2.0], "mode": "linear"},
                (np.array([[1.0, 1.5, 2.0, -0.5, -3.0, -3.0]], dtype=np.float32),),
                tolerance=0.04,
                name="linear",
            ),
        ),
    )
