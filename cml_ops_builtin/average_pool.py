"""AveragePool: the mean of every window.

Under encryption it is a convolution with ones, which costs no lookup; the division by the number
of elements of each window lives in the decode.
"""

from __future__ import annotations

import functools

import numpy as np

from cml_core.plugin_api import (
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    conv,
    elementwise,
    hookimpl,
)
from cml_ops_builtin._shared.windows import place_windows, window_sums


def average_pool(x, *, count_include_pad=0, **attributes):
    windows = place_windows(x.shape[2:], **attributes)
    return _pooled(x, windows, windows.counts(padding=bool(count_include_pad)))


def prepare(x, *, count_include_pad=0, **attributes):
    """Find where windows lie, and what they hold, once for each size of images."""

    @functools.lru_cache(maxsize=64)
    def placed(size):
        windows = place_windows(size, **attributes)
        counts = windows.counts(padding=bool(count_include_pad))
        # One number for all windows is divided by faster.
        return windows, counts.reshape(-1)[0] if (counts == counts.flat[0]).all() else counts

    return lambda x: _pooled(x, *placed(x.shape[2:]))


def _pooled(x, windows, counts):
    wide = x.astype(np.result_type(x.dtype, np.float32), copy=False)
    total = window_sums(wide, windows)
    np.divide(total, np.asarray(counts, dtype=wide.dtype), out=total)
    return (total.astype(x.dtype, copy=False),)


class QuantizedAveragePool:
    """AveragePool as a convolution with one filter of ones for each channel."""

    def __call__(
        self,
        ctx: LoweringContext,
        x,
        *,
        count_include_pad=0,
        ceil_mode=0,
        dilations=None,
        **attributes,
    ):
        windows = place_windows(x.shape[2:], ceil_mode=ceil_mode, dilations=dilations, **attributes)
        total = conv(
            ctx,
            x,
            np.ones((x.shape[1], 1, *windows.kernel)),
            strides=windows.strides,
            dilations=windows.dilations,
            pads=windows.pads,
            group=x.shape[1],
        )
        count = windows.counts(padding=bool(count_include_pad)).astype(x.dtype)
        return (elementwise(ctx, np.divide, total, count),)


@hookimpl
def cml_op():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 2, 5)).astype(np.float32)
    image = rng.uniform(2, 3, (1, 1, 3, 4)).astype(np.float32)
    return OpPlugin(
        schema=OpSchema("AveragePool", since_versions=(1, 7, 10, 11, 19, 22), kind=OpKind.LINEAR),
        numpy_op=average_pool,
        quantized_op=QuantizedAveragePool(),
        prepare=prepare,
        examples=(
            OpExample((x,), {"kernel_shape": [2]}, lookups=0, name="one dimension"),
            OpExample(
                (image,),
                {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 1, 1, 1]},
                name="padding does not count",
            ),
            OpExample(
                (x,),
                {"kernel_shape": [2], "strides": [2], "pads": [1, 0]},
                (np.float32(x[:, :, [[0, 0], [1, 2], [3, 4]]].mean(axis=-1)),),
                opset=6,
                name="before it could count",
            ),
            OpExample(
                (image,),
                {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER", "count_include_pad": 1},
                name="padding counts",
            ),
            OpExample(
                (x,),
                {"kernel_shape": [2], "strides": [3], "dilations": [2], "ceil_mode": 1},
                name="dilated, with a last window that hangs over",
            ),
        ),
    )
