"""Padding and cropping: what both forms of Pad do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cml_core.plugin_api import AttributeValueError, check_size
from cml_ops_builtin._shared.positions import several_axes

__all__ = ["padded"]


def padded(
    x: np.ndarray,
    pads: Sequence[int],
    mode: str,
    value: np.ndarray | None = None,
    axes: Sequence[int] | None = None,
) -> np.ndarray:
    """Add elements at both ends of some axes, or remove them where a pad is negative.

    Parameters
    ----------
    x : array
        What is padded.
    pads : sequence of int
        How many elements before each of `axes`, then how many after each.
    mode : {"constant", "reflect", "edge", "wrap"}
        What the new elements are. Modes other than "constant" look at what cropping has left.
    value : array of one element, optional
        The constant; by default zero, or the empty string.
    axes : sequence of int, optional
        By default all.
    """
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise AttributeValueError("mode", mode, "constant, reflect, edge or wrap")
    axes = several_axes(range(x.ndim) if axes is None else axes, x.ndim)
    if len(pads) != 2 * len(axes):
        raise AttributeValueError("pads", tuple(pads), f"two numbers for each of {len(axes)} axes")
    before, after = pads[: len(axes)], pads[len(axes) :]
    widths = dict(zip(axes, zip(before, after, strict=True), strict=True))
    for axis, (low, high) in widths.items():
        if x.shape[axis] + low + high < 0:
            expected = f"to take no more than there is of {x.shape}"
            raise AttributeValueError("pads", tuple(pads), expected)
    shape = [n + sum(widths.get(axis, ())) for axis, n in enumerate(x.shape)]
    check_size(shape, x.dtype)
    if mode == "constant":
        return _framed(x, shape, widths, value)
    for axis, (low, high) in widths.items():
        if low or high:
            x = np.take(x, _sources(x.shape[axis], low, high, mode), axis=axis)
    return x


def _framed(
    x: np.ndarray,
    shape: list[int],
    widths: dict[int, tuple[int, int]],
    value: np.ndarray | None,
) -> np.ndarray:
    inner = [slice(None)] * x.ndim
    taken = [slice(None)] * x.ndim
    for axis, (low, high) in widths.items():
        size = x.shape[axis]
        start, stop = max(0, -low), max(0, min(size, size + high))
        taken[axis] = slice(start, max(start, stop))
        inner[axis] = slice(start + low, max(start, stop) + low)
    if value is None:
        value = np.asarray("" if x.dtype.kind in "OU" else 0)
    result = np.full(shape, np.asarray(value).reshape(()), dtype=x.dtype)
    result[tuple(inner)] = x[tuple(taken)]
    return result


def _sources(size: int, low: int, high: int, mode: str) -> np.ndarray:
    """Which element each place of a padded axis takes its value from."""
    start, stop = max(0, -low), min(size, size + high)
    left = stop - start
    if left <= 0 and size + low + high > 0:
        expected = f"to leave elements for mode {mode}"
        raise AttributeValueError("pads", (low, high), expected)
    place = np.arange(-low, size + high) - start
    if mode == "edge" or left <= 1:
        return start + np.clip(place, 0, max(left - 1, 0))
    if mode == "wrap":
        return start + place % left
    # A reflection repeats every 2 (n - 1) places: forward, then back without both ends.
    folded = place % (2 * (left - 1))
    return start + np.minimum(folded, 2 * (left - 1) - folded)
