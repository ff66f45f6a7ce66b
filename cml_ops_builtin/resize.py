"""Resize: a tensor sampled at other places along its axes; nearest, linear or cubic.

Under encryption it costs no lookup: the nearest elements only move, and the others are sums with
clear weights, one axis after another. Weights such as 1/4 are exact.
"""

from __future__ import annotations

import functools

import numpy as np

from cml_core.plugin_api import (
    UNKNOWN,
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.resize_steps import resize_steps
from cml_ops_builtin._shared.resizing import resize as resized
from cml_ops_builtin._shared.resizing import resize_encrypted


def resize(x, roi=None, scales=None, sizes=None, *, extrapolation_value, **attributes):
    return (
        resized(x, resize_steps(x.shape, roi, scales, sizes, **attributes), extrapolation_value),
    )


def prepare(x, roi=None, scales=None, sizes=None, *, extrapolation_value, **attributes):
    """Find out what each element is read from, once for each shape."""
    if any(tensor is UNKNOWN for tensor in (roi, scales, sizes)):
        return None

    @functools.lru_cache(maxsize=64)
    def steps(shape):
        return resize_steps(shape, roi, scales, sizes, **attributes)

    return lambda x, *constants: (resized(x, steps(x.shape), extrapolation_value),)


def quantized_resize(
    ctx: LoweringContext, x, roi=None, scales=None, sizes=None, *, extrapolation_value, **attributes
):
    if any(isinstance(t, EncryptedTensor) for t in (roi, scales, sizes)):
        ctx.refuse("roi, scales and sizes must be clear")
    steps = resize_steps(x.shape, roi, scales, sizes, **attributes)
    return (resize_encrypted(ctx, x, steps, extrapolation_value),)


@hookimpl
def cml_op():
    x = np.array([[[[0.0, 1.0], [-1.0, 3.0]]]], dtype=np.float32)
    row = np.array([[[-1.0, 2.0, 0.5, 1.0]]], dtype=np.float32)
    wide, double = np.array([1.0, 1.0, 1.0, 2.0], dtype=np.float32), np.float32([1.0, 1.0, 2.0])
    return OpPlugin(
        schema=OpSchema("Resize", since_versions=(11, 13, 18, 19)),
        numpy_op=resize,
        quantized_op=quantized_resize,
        prepare=prepare,
        examples=(
            OpExample((x, None, np.float32([1, 1, 2, 2])), tolerance=0.04, name="nearest"),
            OpExample(
                (x, None, None, np.array([3, 4])),
                {"axes": [2, 3], "mode": "linear"},
                tolerance=0.04,
                name="linear, to a size",
            ),
            OpExample(
                (x, np.array([], dtype=np.float32), wide),
                {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
                opset=11,
                tolerance=0.04,
                name="aligned corners, opset 11",
            ),
            OpExample(
                (row, None, double),
                {"mode": "cubic", "exclude_outside": 1, "cubic_coeff_a": -0.5},
                n_bits=6,
                tolerance=0.04,
                name="cubic",
            ),
            OpExample(
                (row, None, None, np.array([1, 1, 2])),
                {"mode": "linear", "antialias": 1},
                n_bits=6,
                tolerance=0.02,
                name="antialiasing",
            ),
            OpExample(
                (row, np.float32([0.25, 1.25]), None, np.array([3])),
                {
                    "mode": "linear",
                    "coordinate_transformation_mode": "tf_crop_and_resize",
                    "extrapolation_value": -1.0,
                    "axes": [2],
                },
                tolerance=0.06,
                name="cropped, partly beyond the input",
            ),
            OpExample(
                (x, None, None, np.array([3, 5])),
                {"axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"},
                tolerance=0.04,
                name="aspect ratio kept",
            ),
        ),
        restrictions="roi, scales and sizes must be clear",
    )
