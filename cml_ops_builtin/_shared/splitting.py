"""Cutting a tensor in parts: what all forms of Split do."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cml_core.plugin_api import AttributeValueError
from cml_ops_builtin._shared.positions import one_axis

__all__ = ["equal_parts", "parts"]


def parts(
    x: np.ndarray, lengths: Sequence[int], axis: int, count: int | None = None
) -> tuple[np.ndarray, ...]:
    """Return the parts of these lengths, in order, of which there are `count`."""
    axis = one_axis(axis, x.ndim)
    if count is not None and len(lengths) != count:
        expected = f"{count} lengths, one for each output"
        raise AttributeValueError("split", tuple(lengths), expected)
    if min(lengths, default=0) < 0 or sum(lengths) != x.shape[axis]:
        expected = f"lengths that add up to {x.shape[axis]}"
        raise AttributeValueError("split", tuple(lengths), expected)
    return tuple(np.split(x, np.cumsum(lengths)[:-1], axis=axis))


def equal_parts(
    x: np.ndarray, count: int, axis: int, *, shorter_last: bool = False
) -> tuple[np.ndarray, ...]:
    """Return `count` parts of the same length; the last one may be shorter where that is asked."""
    size = x.shape[one_axis(axis, x.ndim)]
    length = math.ceil(size / count) if count > 0 else 0
    last = size - (count - 1) * length
    if count < 1 or last < 0 or (last != length and not shorter_last):
        raise AttributeValueError("number of parts", count, f"one that divides {size} elements")
    return parts(x, (*(length,) * (count - 1), last), axis)
