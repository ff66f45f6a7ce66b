"""MaxPool: the largest element of every window, and where it was.

Under encryption, with windows of k elements along an axis, k - 1 lookups for each result along
that axis, one axis after the other, and one more for each input element if they are not narrow
integers already.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from cml_core.plugin_api import (
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    hookimpl,
    maximum,
)
from cml_ops_builtin._shared.extremes import extreme, window_steps
from cml_ops_builtin._shared.half_precision import chosen_in_single
from cml_ops_builtin._shared.windows import padded, place_windows, reduced, window_parts


def max_pool(x, *, n_outputs=2, storage_order=0, **attributes):
    return _pooled(x, place_windows(x.shape[2:], **attributes), n_outputs, storage_order)


def prepare(x, *, n_outputs=2, storage_order=0, **attributes):
    """Find where windows lie once for each size of images."""

    @functools.lru_cache(maxsize=64)
    def windows(size):
        return place_windows(size, **attributes)

    return lambda x: _pooled(x, windows(x.shape[2:]), n_outputs, storage_order)


def _pooled(x, windows, n_outputs, storage_order):
    lowest = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
    if n_outputs == 1:
        return (chosen_in_single(lambda v: reduced(v, windows, np.maximum, lowest), x),)
    size = windows.size
    # Where each element is: its number within its channel, row after row or column after column.
    numbers = np.arange(math.prod(size))
    place = numbers.reshape(size[::-1]).T if storage_order else numbers.reshape(size)
    place = padded(place[np.newaxis, np.newaxis], windows, -1)
    value = padded(x, windows, lowest)
    for axis in reversed(range(windows.rank)):
        values, places = (window_parts(array, windows, axis) for array in (value, place))
        value, place = values[0], places[0]
        for other, its_place in zip(values[1:], places[1:], strict=True):
            nan = (other != other) & (value == value)
            better = (other > value) | nan | (place < 0)
            value, place = np.where(better, other, value), np.where(better, its_place, place)
    channels = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], *(1,) * windows.rank)
    return np.ascontiguousarray(value), place + channels * len(numbers)


class QuantizedMaxPool:
    """MaxPool as trees of pairwise maxima, without Indices."""

    def __call__(
        self,
        ctx: LoweringContext,
        x,
        *,
        n_outputs=1,
        storage_order=0,
        ceil_mode=0,
        dilations=None,
        **attributes,
    ):
        if n_outputs > 1:
            ctx.refuse(
                "its output Indices is used, and a tree of maxima does not say where they were",
                "Only the values can be computed.",
            )
        windows = place_windows(x.shape[2:], ceil_mode=ceil_mode, dilations=dilations, **attributes)
        return (extreme(ctx, x, window_steps(windows), maximum),)


@hookimpl
def cml_op():
    x = np.array([[[-2.0, 1.5, 0.0, -3.0, 2.5], [4.0, -1.0, 0.5, -2.5, -3.5]]], dtype=np.float32)
    image = -np.array([[[[4, 0, 11, 7], [9, 2, 6, 3], [8, 1, 5, 10]]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("MaxPool", since_versions=(1, 8, 10, 11, 12, 22), counts_outputs=True),
        numpy_op=max_pool,
        quantized_op=QuantizedMaxPool(),
        prepare=prepare,
        examples=(
            OpExample((x,), {"kernel_shape": [3]}, name="one dimension"),
            OpExample(
                (image,),
                {"kernel_shape": [2, 2], "strides": [2, 2]},
                lookups=4,
                max_bits=4,
                name="two dimensions",
            ),
            OpExample(
                (image,),
                {"kernel_shape": [2, 2], "strides": [2, 3], "pads": [0, 1, 1, 1]},
                name="padding below all values",
            ),
            OpExample(
                (x,),
                {"kernel_shape": [2], "strides": [3], "dilations": [2], "ceil_mode": 1},
                name="dilated, with a last window that hangs over",
            ),
        ),
        restrictions="the output Indices is for clear inputs alone",
    )
