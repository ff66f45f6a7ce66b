"""Conv: convolution in one to three dimensions (or more), with padding, groups and dilations.

Under encryption X is encrypted and W clear. The product costs no lookup; the accumulator grows by
about log2(C / group * kernel size) bits over input and weight widths. Padding is exact whatever
the zero point, and the bias lives in the decode.
"""

from __future__ import annotations

import functools

import numpy as np

from cml_core.plugin_api import (
    UNKNOWN,
    AttributeValueError,
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    add,
    conv_nd,
    hookimpl,
)
from cml_core.plugin_api import conv as conv_encrypted
from cml_ops_builtin._shared.precision import widened
from cml_ops_builtin._shared.windows import kernel_of, place_windows


def _windows(x_shape, w_shape, *, kernel_shape, group, **attributes):
    """Check the shapes against each other and place the windows."""
    kernel = kernel_of(x_shape, w_shape, kernel_shape)
    if group < 1 or x_shape[1] != w_shape[1] * group or w_shape[0] % group:
        raise AttributeValueError(
            "group", group, f"a divisor of {w_shape[0]} that makes {x_shape[1]} of {w_shape[1]}"
        )
    return place_windows(x_shape[2:], kernel, **attributes)


def conv(x, w, b=None, *, group, **attributes):
    windows = _windows(x.shape, w.shape, group=group, **attributes)
    y = conv_nd(
        widened(x),
        widened(w),
        None if b is None else widened(b),
        strides=windows.strides,
        dilations=windows.dilations,
        group=group,
        pads=windows.pads,
    )
    return (y.astype(x.dtype, copy=False),)


def prepare(x, w, b=None, *, group, strides, dilations, **attributes):
    """Lay out the filters; where windows lie is found once for each size of images."""
    if not isinstance(w, np.ndarray) or b is UNKNOWN or w.ndim < 3 or group < 1 or len(w) % group:
        return None
    settings = {"group": group, "strides": strides, "dilations": dilations, **attributes}
    rank = w.ndim - 2
    convolve = conv_nd(
        None,
        widened(w),
        None if b is None else widened(b),
        strides=strides or (1,) * rank,
        dilations=dilations or (1,) * rank,
        group=group,
    )

    @functools.lru_cache(maxsize=64)
    def pads(shape):
        return _windows(shape, w.shape, **settings).pads

    def prepared(x, *weights):
        y = convolve(widened(x) if x.dtype.itemsize == 2 else x, pads(x.shape))
        return (y.astype(x.dtype, copy=False),)

    return prepared


class QuantizedConv:
    """Conv with clear filters and bias."""

    def __call__(self, ctx: LoweringContext, x, w, b=None, *, group, **attributes):
        for name, tensor in (("W", w), ("B", b)):
            if isinstance(tensor, EncryptedTensor):
                ctx.refuse(f"its input {name} is encrypted", "It must be a constant of the model.")
        windows = _windows(x.shape, w.shape, group=group, **attributes)
        y = conv_encrypted(
            ctx,
            x,
            w,
            strides=windows.strides,
            dilations=windows.dilations,
            pads=windows.pads,
            group=group,
        )
        if b is not None:
            y = add(ctx, y, b.reshape(-1, *(1,) * windows.rank))
        return (y,)


@hookimpl
def cml_op():
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    return OpPlugin(
        schema=OpSchema("Conv", since_versions=(1, 11, 22), kind=OpKind.LINEAR),
        numpy_op=conv,
        quantized_op=QuantizedConv(),
        prepare=prepare,
        examples=(
            OpExample(
                (normal(1, 1, 3, 4), normal(2, 1, 2, 2), normal(2)),
                {"kernel_shape": [2, 2]},
                lookups=0,
                name="two dimensions with bias",
            ),
            OpExample(
                (rng.uniform(2, 3, (1, 2, 5)).astype(np.float32), normal(2, 1, 3)),
                {"group": 2, "pads": [2, 1], "strides": [2]},
                name="one dimension, two groups, padding of an input that is never zero",
            ),
            OpExample(
                (normal(1, 1, 2, 2, 3), normal(2, 1, 1, 2, 2)),
                {"auto_pad": "SAME_UPPER"},
                name="three dimensions, padded to the same size",
            ),
            OpExample(
                (normal(1, 2, 6), normal(1, 2, 2), normal(1)),
                {"dilations": [3], "auto_pad": "VALID"},
                name="dilated",
            ),
        ),
        restrictions="W and B must be clear",
    )
