"""Writing updates into a copy of a tensor: what the Scatter operators do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cml_core.plugin_api import AttributeValueError, LoweringContext, MovementQuantizedOp
from cml_ops_builtin._shared.positions import element_places

__all__ = ["ScatterQuantizedOp", "elements_scattered", "scattered"]

_REDUCTIONS = {
    "add": np.add,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
}


def scattered(
    data: np.ndarray, places: tuple[np.ndarray, ...], updates: np.ndarray, reduction: str
) -> np.ndarray:
    """Return a copy of `data` with updates at the given places.

    With a reduction, each update is combined with what is there, however often a place comes up.
    """
    if reduction != "none" and reduction not in _REDUCTIONS:
        raise AttributeValueError("reduction", reduction, "none, add, mul, max or min")
    result = data.copy()
    if reduction == "none":
        result[places] = updates
    else:
        _REDUCTIONS[reduction].at(result, places, updates)
    return result


def elements_scattered(
    data: np.ndarray,
    indices: np.ndarray,
    updates: np.ndarray,
    axis: int,
    reduction: str = "none",
) -> np.ndarray:
    """Return a copy of `data` with an update for each index along an axis."""
    if updates.shape != indices.shape:
        raise AttributeValueError("shape of updates", updates.shape, str(indices.shape))
    return scattered(data, element_places(indices, data.shape, axis), updates, reduction)


class ScatterQuantizedOp:
    """A scatter as a movement of the data and the updates; the indices are clear."""

    def __init__(self, numpy_op: Callable[..., Any]) -> None:
        self._move = MovementQuantizedOp(numpy_op, moved=(0, 2))

    def __call__(self, ctx: LoweringContext, data, indices, updates, *, reduction="none", **others):
        if reduction != "none":
            ctx.refuse(
                f"reduction {reduction!r} combines elements, and only moving them is possible",
                'Use reduction="none", or write the sum out with Add.',
            )
        return self._move(ctx, data, indices, updates, **others)
