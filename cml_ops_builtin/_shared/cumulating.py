"""Cumulative sums and products along an axis: which elements come into each result."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError
from cml_ops_builtin._shared.flags import flag
from cml_ops_builtin._shared.positions import integers, one_axis

__all__ = ["cumulated", "cumulation_axis", "taken"]


def cumulation_axis(axis, rank: int) -> int:
    """Return the axis that the operator's second input names, counted from the front."""
    if np.size(axis) != 1:
        raise AttributeValueError("axis", np.asarray(axis).tolist(), "one number")
    return one_axis(integers(axis)[0], rank)


def taken(size: int, *, exclusive: int, reverse: int) -> np.ndarray:
    """Which of `size` elements (columns) come into each result (rows), as zeros and ones."""
    ones = np.ones((size, size), dtype=np.int64)
    lower = np.tril(ones, -1 if flag("exclusive", exclusive) else 0)
    return lower.T if flag("reverse", reverse) else lower


def cumulated(x, axis, accumulate, neutral, *, exclusive: int, reverse: int) -> np.ndarray:
    """Cumulate an array by a ufunc; `neutral` is what no element at all amounts to.

    Half precision is cumulated in single precision.
    """
    axis = cumulation_axis(axis, x.ndim)
    exclusive, reverse = flag("exclusive", exclusive), flag("reverse", reverse)
    wide = np.result_type(x.dtype, np.float32) if x.dtype.kind not in "iu" else x.dtype
    line = np.moveaxis(x, axis, -1)
    line = line[..., ::-1] if reverse else line
    if exclusive:
        first = np.full((*line.shape[:-1], min(1, line.shape[-1])), neutral, dtype=x.dtype)
        line = np.concatenate([first, line[..., :-1]], axis=-1)
    line = accumulate.accumulate(line, axis=-1, dtype=wide)
    line = line[..., ::-1] if reverse else line
    return np.moveaxis(line, -1, axis).astype(x.dtype)
