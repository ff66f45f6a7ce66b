"""One-hot encoding: what both forms of OneHot do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    EncryptedTensor,
    LoweringContext,
    check_size,
    elementwise,
    move,
)
from cml_ops_builtin._shared.positions import integers, one_axis

__all__ = ["OneHotQuantizedOp", "encoded", "matches", "matches_or_negative"]

Rule = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def matches(indices: np.ndarray, classes: np.ndarray, depth: int) -> np.ndarray:
    """Which class each index names, by the rule of opset 9: from zero."""
    return indices.astype(np.int64) == classes


def matches_or_negative(indices: np.ndarray, classes: np.ndarray, depth: int) -> np.ndarray:
    """Which class each index names, by the rule of opset 11: from zero, or from the end."""
    whole = indices.astype(np.int64)
    return (whole == classes) | (whole + depth == classes)


def _layout(rank: int, depth: Any, values: Any, axis: int) -> tuple[int, int, np.ndarray]:
    """Return the new axis, its size, and the classes laid along it."""
    if np.size(depth) != 1 or integers(depth)[0] < 0:
        raise AttributeValueError("depth", np.asarray(depth).tolist(), "one number, 0 or more")
    if np.shape(values) != (2,):
        raise AttributeValueError("shape of values", np.shape(values), "(2,), off and on")
    axis = one_axis(axis, rank + 1)
    (size,) = integers(depth)
    check_size([size], np.int64)
    classes = np.arange(size).reshape([-1 if k == axis else 1 for k in range(rank + 1)])
    return axis, size, classes


def encoded(indices: Any, depth: Any, values: Any, axis: int, rule: Rule) -> np.ndarray:
    """Return `values[1]` where an index names the class, `values[0]` elsewhere."""
    axis, size, classes = _layout(indices.ndim, depth, values, axis)
    check_size([*indices.shape, size], values.dtype)
    return np.where(rule(np.expand_dims(indices, axis), classes, size), values[1:], values[:1])


class OneHotQuantizedOp:
    """One-hot encoding of encrypted indices: each class a function of its index, so a decode."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def __call__(self, ctx: LoweringContext, indices, depth, values, *, axis):
        if isinstance(depth, EncryptedTensor) or isinstance(values, EncryptedTensor):
            ctx.refuse("depth and values must be clear")
        axis, size, classes = _layout(indices.ndim, depth, values, axis)
        if size == 0:
            shape = (*indices.shape[:axis], 0, *indices.shape[axis:])
            return (np.zeros(shape, dtype=values.dtype),)
        (spread,) = move(ctx, lambda numbers: np.expand_dims(numbers, axis), [indices])

        def one_hot(index, place):
            return np.where(self._rule(index, place, size), values[1:], values[:1])

        return (elementwise(ctx, one_hot, spread, classes),)
