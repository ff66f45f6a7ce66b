"""Unique: the different elements of a tensor, or slices along an axis, and where they are.

In rising order (slices in that of their first elements that differ) or in that of their first
occurrence. Numbers that are not a number are all the same one.
"""

from __future__ import annotations

import math

import numpy as np

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.precision import widened


def unique(x, *, axis, sorted):
    if sorted not in (0, 1):
        raise AttributeValueError("sorted", sorted, "0 or 1")
    if axis is None:
        x, axis = x.reshape(-1), 0
    if not -x.ndim <= axis < x.ndim:
        raise AttributeValueError("axis", axis, f"an axis of a tensor of rank {x.ndim}")
    first, inverse, counts = _found(x, axis)
    if not sorted:
        order = np.argsort(first)
        first, counts = first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    y = np.take(x, first, axis=axis)
    return y, *(places.astype(np.int64, copy=False) for places in (first, inverse, counts))


def _found(x, axis):
    """First place of each different slice, which of them each slice is, and how many there are."""
    every = {"return_index": True, "return_inverse": True, "return_counts": True}
    _, first, inverse, counts = np.unique(widened(x).reshape(-1), **every)
    if x.ndim > 1:
        # Slices of ranks are ordered as those of the elements, whatever these are.
        ranks = np.moveaxis(inverse.reshape(x.shape), axis, 0)
        rows = ranks.reshape(len(ranks), math.prod(ranks.shape[1:]))
        _, first, inverse, counts = np.unique(rows, axis=0, **every)
    return first, inverse.reshape(-1), counts


@hookimpl
def cml_op():
    x = np.float32([2, 1, 1, 3, 4, 3])
    rows = np.array([[1, 0, 0], [1, 0, 0], [-2, 3, 4]])
    words = np.array([["b", "a", "b"], ["", "a", ""]], dtype=object)
    return OpPlugin(
        schema=OpSchema("Unique", since_versions=(11, 28)),
        numpy_op=unique,
        examples=(
            OpExample((x,), encrypted=(), n_outputs=4, name="in rising order"),
            OpExample(
                (x,),
                {"sorted": 0},
                (np.float32([2, 1, 3, 4]), np.array([0, 1, 3, 4])),
                encrypted=(),
                n_outputs=2,
                opset=11,
                name="in order of occurrence",
            ),
            OpExample((rows,), {"axis": 0}, encrypted=(), n_outputs=4, name="rows"),
            OpExample(
                (words,),
                {"axis": -1, "sorted": 0},
                (
                    words[:, :2],
                    np.array([0, 1]),
                    np.array([0, 1, 0]),
                    np.array([2, 1]),
                ),
                encrypted=(),
                n_outputs=4,
                name="columns of strings",
            ),
        ),
    )
