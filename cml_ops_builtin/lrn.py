"""LRN: local response normalization, by the squares of the neighbouring channels."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    OpExample,
    OpPlugin,
    OpSchema,
    hookimpl,
    window_view,
)


def lrn(x, *, size, alpha, beta, bias):
    if size < 1:
        raise AttributeValueError("size", size, "a number of channels, at least 1")
    wide = x.astype(np.result_type(x.dtype, np.float32), copy=False)
    before = (size - 1) // 2
    ends = [(before, size - 1 - before) if axis == 1 else (0, 0) for axis in range(x.ndim)]
    channels_last = np.moveaxis(np.pad(np.square(wide), ends), 1, -1)
    total = np.moveaxis(window_view(channels_last, (size,), (1,)).sum(axis=-1), -1, 1)
    return ((wide / (bias + alpha / size * total) ** beta).astype(x.dtype, copy=False),)


@hookimpl
def cml_op():
    x = np.array([1.0, -2.0, 3.0, 0.0], dtype=np.float32).reshape(1, 4, 1, 1)
    around, ahead = np.array([[5, 14, 13, 9], [5, 13, 9, 0]], dtype=np.float32).reshape(2, *x.shape)
    return OpPlugin(
        schema=OpSchema("LRN", since_versions=(1, 13)),
        numpy_op=lrn,
        examples=(
            OpExample(
                (x,),
                {"size": 3, "alpha": 3.0, "beta": 1.0},
                outputs=(x / (1 + around),),
                name="a channel and both neighbours",
            ),
            OpExample(
                (x,),
                {"size": 2, "alpha": 2.0, "beta": 0.5, "bias": 3.0},
                outputs=(x / np.sqrt(3 + ahead),),
                name="a channel and the next",
            ),
        ),
        restrictions="only as the client's tail, after the last encrypted operation",
    )
