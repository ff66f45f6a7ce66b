"""Slices by ONNX's rules: what both forms of Slice do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cml_core.plugin_api import AttributeValueError
from cml_ops_builtin._shared.positions import several_axes

__all__ = ["sliced"]


def sliced(
    x: np.ndarray,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
) -> np.ndarray:
    """Return the part of a tensor between starts and ends, along some axes."""
    axes = range(len(starts)) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        lengths = (len(starts), len(ends), len(axes), len(steps))
        raise AttributeValueError("number of starts, ends, axes and steps", lengths, "one number")
    if 0 in steps:
        raise AttributeValueError("steps", tuple(steps), "steps other than 0")
    cut = [slice(None)] * x.ndim
    for axis, start, end, step in zip(several_axes(axes, x.ndim), starts, ends, steps, strict=True):
        cut[axis] = _slice(start, end, step, x.shape[axis])
    return x[tuple(cut)]


def _slice(start: int, end: int, step: int, size: int) -> slice:
    """Python's slice, but for starts far below zero with a negative step: they mean element 0."""
    if size == 0:
        return slice(0, 0)
    start = start + size if start < 0 else start
    end = end + size if end < 0 else end
    if step > 0:
        return slice(max(0, min(start, size)), max(0, min(end, size)), step)
    start, end = max(0, min(start, size - 1)), max(-1, min(end, size - 1))
    return slice(start, None if end < 0 else end, step)
