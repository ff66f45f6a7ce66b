"""Elements chosen by an encrypted index, for all operators that gather along one axis."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    Grid,
    LoweringContext,
    MovementQuantizedOp,
    NumpyOp,
    Opcode,
    elementwise,
    lookup,
    matmul,
    move,
    reshape,
)
from cml_ops_builtin._shared.keys import exact, looked_up, moved, on_one_grid
from cml_ops_builtin._shared.ranking import by_complement

__all__ = ["GatheringQuantizedOp"]


@attrs.frozen(slots=True)
class GatheringQuantizedOp:
    """The quantized form of an operator that gathers along one axis.

    Parameters
    ----------
    numpy_op : NumpyOp
        The float reference, `(data, indices, **attributes)`.
    axis : callable
        `axis(rank of data, shape of indices, **attributes)` is the axis that indices point into;
        None if an index has several parts.
    spread : callable
        `spread(indices, axis, rank of data)` reshapes indices so that they broadcast to the result.
    """

    numpy_op: NumpyOp
    axis: Callable[..., int | None]
    spread: Callable[[np.ndarray, int, int], np.ndarray]

    def __call__(self, ctx: LoweringContext, data, indices, **attributes):
        if not isinstance(indices, EncryptedTensor):
            return MovementQuantizedOp(self.numpy_op)(ctx, data, indices, **attributes)
        if data.dtype.kind == "O":
            ctx.refuse("its encrypted indices choose strings", 'Use tail="client".')
        axis = self.axis(data.ndim, indices.shape, **attributes)
        if axis is None:
            ctx.refuse("its encrypted indices have several parts", "Use indices of one part.")
        size = data.shape[axis]
        if size == 1:
            first = np.zeros(indices.shape, dtype=np.int64)
            return MovementQuantizedOp(self.numpy_op)(ctx, data, first, **attributes)

        def candidate(a: np.ndarray, place: int) -> np.ndarray:
            chosen = np.full(indices.shape, place, dtype=np.int64)
            return self.numpy_op(a, chosen, **attributes)[0]

        def candidates(a: np.ndarray) -> np.ndarray:
            return np.stack([candidate(a, place) for place in range(size)], axis=-1)

        shape = candidate(np.empty(data.shape), 0).shape
        if math.prod(shape) == 0:
            return (np.zeros(shape, dtype=data.dtype),)
        rank = len(data.shape)

        def laid(a: np.ndarray) -> np.ndarray:
            return np.broadcast_to(self.spread(a, axis, rank), shape)

        if isinstance(data, EncryptedTensor):
            return (_from_encrypted(ctx, data, axis, indices, candidates, laid),)
        width = math.prod(data.shape[1:])
        if axis == 0 and size < width and shape == (*indices.shape, *data.shape[1:]):
            return (_by_product(ctx, data, indices, shape),)
        rows, row = np.unique(candidates(data).reshape(-1, size), axis=0, return_inverse=True)
        (spread,) = move(ctx, laid, [indices])

        def entry(index, row):
            return rows[row, _place(index, size)]

        return (elementwise(ctx, entry, spread, row.reshape(shape)),)


def _place(index, size: int) -> np.ndarray:
    """Count an index from the front; what no index can be stays within the axis."""
    whole = np.asarray(index).astype(np.int64)
    return np.clip(np.where(whole < 0, whole + size, whole), 0, size - 1)


def _by_product(ctx: LoweringContext, table: np.ndarray, indices: EncryptedTensor, shape):
    """Rows of a table that is wider than high: a one-hot index (a lookup per row) times the table.

    Each element of the result would need a lookup otherwise.
    """
    hot = _is_place(ctx, indices, len(table), len(table))
    product = matmul(ctx, hot, table.reshape(len(table), -1).astype(np.float64))
    return attrs.evolve(reshape(ctx, product, shape), dtype=table.dtype)


def _from_encrypted(ctx: LoweringContext, data, axis, indices, candidates, laid):
    """Keep the chosen one of all candidates, make the others zero, and add them up."""
    data = on_one_grid(ctx, data, axis)
    size = data.shape[axis]
    low, high = int(data.register.bounds.low.min()), int(data.register.bounds.high.max())
    values = moved(ctx, candidates, data.register)
    marks = _marks(ctx, indices, size)
    hot = moved(ctx, lambda a: np.stack([laid(part) for part in np.moveaxis(a, -1, 0)], -1), marks)
    # key + levels * hot - levels is the key if it is chosen, else negative.
    levels = high - low + 1
    lift = {"operand": np.full(hot.shape, levels)}
    lifted = ctx.builder.emit(Opcode.MULTIPLY, [hot], constants=lift)
    both = ctx.builder.emit(Opcode.ADD, [values, lifted])
    kept = looked_up(ctx, both, lambda v: np.maximum(v - low - levels, 0), levels)
    last = {"axes": (len(kept.shape) - 1,), "keepdims": False}
    total = ctx.builder.emit(Opcode.SUM, [kept], last)
    channel = np.take(candidates(data.channel), 0, axis=-1)

    def decode(key, channel):
        return data.decode(np.rint(key).astype(np.int64) + low, channel)

    result = elementwise(ctx, decode, exact(ctx, total, 0, high - low), channel)
    return attrs.evolve(result, dtype=data.dtype)


def _marks(ctx: LoweringContext, indices: EncryptedTensor, size: int):
    """One-hot indices along a new last axis; the last place is what the others leave."""
    hot = lookup(ctx, _is_place(ctx, indices, size, size - 1), Grid(1.0, 0.0, 2))
    return by_complement(hot.register).weighed(ctx, np.eye(size, dtype=np.int64))


def _is_place(ctx: LoweringContext, indices: EncryptedTensor, size: int, count: int):
    """Whether each index names each of the first `count` places, along a new last axis."""
    (spread,) = move(
        ctx, lambda a: np.broadcast_to(a[..., np.newaxis], (*a.shape, count)), [indices]
    )

    def named(index, place):
        return (_place(index, size) == place).astype(np.float64)

    return elementwise(ctx, named, spread, np.arange(count))
