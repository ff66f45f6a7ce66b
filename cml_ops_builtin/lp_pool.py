"""LpPool: the p-norm of every window, (sum |x|^p)^(1/p).

Under encryption each element costs one lookup for its power; the sums are a convolution with
ones, and the root lives in the decode.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    conv,
    elementwise,
    hookimpl,
)
from cml_ops_builtin._shared.encrypted_normalizing import powers
from cml_ops_builtin._shared.normalizing import checked_power, root
from cml_ops_builtin._shared.windows import place_windows, window_sums


def lp_pool(x, *, p, ceil_mode=0, dilations=None, **attributes):
    windows = place_windows(x.shape[2:], ceil_mode=ceil_mode, dilations=dilations, **attributes)
    wide = np.abs(x).astype(np.result_type(x.dtype, np.float32), copy=False)
    total = window_sums(wide ** checked_power(p), windows)
    return (root(total, p).astype(x.dtype, copy=False),)


class QuantizedLpPool:
    """LpPool as a convolution of powers with one filter of ones for each channel."""

    def __call__(self, ctx: LoweringContext, x, *, p, ceil_mode=0, dilations=None, **attributes):
        windows = place_windows(x.shape[2:], ceil_mode=ceil_mode, dilations=dilations, **attributes)
        total = conv(
            ctx,
            powers(ctx, x, checked_power(p)),
            np.ones((x.shape[1], 1, *windows.kernel)),
            strides=windows.strides,
            dilations=windows.dilations,
            pads=windows.pads,
            group=x.shape[1],
        )
        return (elementwise(ctx, lambda value: root(value, p), total),)


@hookimpl
def cml_op():
    x = np.array([[[1.0, -2.0, 0.5, 0.0], [2.0, 1.5, -1.0, 0.5]]], dtype=np.float32)
    image = np.array([[[[1.0, 2.0, -1.0], [0.5, -2.0, 3.0]]]], dtype=np.float32)
    dilated = {"kernel_shape": [2], "dilations": [2], "p": 1}
    return OpPlugin(
        schema=OpSchema("LpPool", since_versions=(2, 11, 18, 22)),
        numpy_op=lp_pool,
        quantized_op=QuantizedLpPool(),
        tail=True,
        examples=(
            OpExample((x,), {"kernel_shape": [2]}, name="Euclidean norm"),
            OpExample(
                (image,),
                {"kernel_shape": [2, 2], "p": 1, "strides": [2, 1], "pads": [1, 0, 0, 1]},
                tolerance=0.01,
                name="sum of absolute values, padded",
            ),
            OpExample(
                (x,),
                dilated,
                outputs=(np.abs(x[..., :2]) + np.abs(x[..., 2:]),),
                opset=18,
                name="dilated",
            ),
            OpExample((x,), {"kernel_shape": [2], "p": 3}, opset=7, name="third power"),
        ),
    )
