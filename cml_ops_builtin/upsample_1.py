"""Upsample before opset 7: images enlarged by the scales in two attributes.

Under encryption it costs no lookup.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.resize_steps import early_steps
from cml_ops_builtin._shared.resizing import checked, resize, resize_encrypted


def upsample_1(x, **attributes):
    return (resize(x, _steps(x.shape, **attributes)),)


def quantized_upsample_1(ctx: LoweringContext, x, **attributes):
    return (resize_encrypted(ctx, x, _steps(x.shape, **attributes)),)


def _steps(shape, *, mode, height_scale, width_scale):
    checked("mode", mode, ("nearest", "bilinear"))
    if len(shape) != 4:
        raise AttributeValueError("shape of X", shape, "four axes: batch, channels, height, width")
    linear = mode.removeprefix("bi")
    return early_steps(shape, (1.0, 1.0, height_scale, width_scale), mode=linear, least=1.0)


@hookimpl
def cml_op():
    x = np.array([[[[1.0, 2.0, -3.0]]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Upsample", since_versions=(1,)),
        numpy_op=upsample_1,
        quantized_op=quantized_upsample_1,
        examples=(
            OpExample(
                (x,),
                {"height_scale": 2.0, "width_scale": 1.5},
                (np.array([[[[1.0, 1.0, 2.0, -3.0]] * 2]], dtype=np.float32),),
                tolerance=0.04,
                name="nearest",
            ),
            OpExample(
                (x,),
                {"height_scale": 1.0, "width_scale": 2.0, "mode": "bilinear"},
                (np.array([[[[1.0, 1.5, 2.0, -0.5, -3.0, -3.0]]]], dtype=np.float32),),
                tolerance=0.04,
                name="bilinear",
            ),
        ),
    )
