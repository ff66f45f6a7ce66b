"""LRN: local response normalization, by the squares of the neighbouring channels.

Under encryption each element costs a lookup for its square, one for its logarithm and one for
that of its divisor; the quotient lives in the decode. With an `alpha` so small that the divisor
hardly varies it costs nothing.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    conv,
    hookimpl,
    reshape,
    window_view,
)
from cml_ops_builtin._shared.encrypted_normalizing import powers, scaled
from cml_ops_builtin._shared.leveling import unhurried


def _ends(x, size):
    """Number of neighbours before and after a channel."""
    if size < 1:
        raise AttributeValueError("size", size, "a number of channels, at least 1")
    if x.ndim < 2:
        raise AttributeValueError("shape of X", tuple(x.shape), "a batch axis and channels")
    before = (size - 1) // 2
    return before, size - 1 - before


def _around(x, around):
    """Sums over channels and their neighbours."""
    ends = [around if axis == 1 else (0, 0) for axis in range(x.ndim)]
    channels_last = np.moveaxis(np.pad(x, ends), 1, -1)
    return np.moveaxis(window_view(channels_last, (sum(around) + 1,), (1,)).sum(axis=-1), -1, 1)


def lrn(x, *, size, alpha, beta, bias):
    wide = x.astype(np.result_type(x.dtype, np.float32), copy=False)
    total = _around(np.square(wide), _ends(x, size))
    return ((wide / (bias + alpha / size * total) ** beta).astype(x.dtype, copy=False),)


class QuantizedLRN:
    """LRN inside the circuit."""

    def __call__(self, ctx: LoweringContext, x, *, size, alpha, beta, bias):
        around = _ends(x, size)
        if beta < 0 or bias <= 0 or alpha < 0:
            ctx.refuse(
                "its divisor may be zero or negative",
                "alpha and beta must not be negative and bias must be positive.",
            )
        ctx = unhurried(ctx)
        square = powers(ctx, x, 2)
        # Channels become an axis of space, along which windows of ones move.
        images = reshape(ctx, square, (x.shape[0], 1, x.shape[1], -1))
        total = conv(
            ctx,
            images,
            np.ones((1, 1, size, 1)),
            strides=(1, 1),
            dilations=(1, 1),
            pads=(around[0], 0, around[1], 0),
            group=1,
        )

        def inverse(value):
            return (bias + alpha / size * np.maximum(value, 0)) ** -beta

        squares = np.square(x.values().astype(np.float64)).reshape(-1, *x.shape[1:])
        totals = _around(squares, around).reshape(x.register.samples.shape)
        return (scaled(ctx, x, reshape(ctx, total, x.shape), inverse, totals),)


@hookimpl
def cml_op():
    x = np.array([1.0, -2.0, 3.0, 0.0], dtype=np.float32).reshape(1, 4, 1, 1)
    around, ahead = np.array([[5, 14, 13, 9], [5, 13, 9, 0]], dtype=np.float32).reshape(2, *x.shape)
    return OpPlugin(
        schema=OpSchema("LRN", since_versions=(1, 13)),
        numpy_op=lrn,
        quantized_op=QuantizedLRN(),
        tail=True,
        examples=(
            OpExample(
                (x,),
                {"size": 3, "alpha": 3.0, "beta": 1.0},
                outputs=(x / (1 + around),),
                tolerance=0.06,
                name="a channel and both neighbours",
            ),
            OpExample(
                (x,),
                {"size": 2, "alpha": 2.0, "beta": 0.5, "bias": 3.0},
                outputs=(x / np.sqrt(3 + ahead),),
                name="a channel and the next",
            ),
            OpExample(
                (x,),
                {"size": 3},
                outputs=(x / (1 + np.float32(1e-4) / 3 * around) ** np.float32(0.75),),
                opset=7,
                tolerance=0.01,
                name="a divisor that hardly varies, earlier revision",
            ),
        ),
        restrictions="alpha and beta must not be negative, bias must be positive",
    )
