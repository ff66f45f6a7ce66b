"""The order of elements along an axis: what ArgMax, ArgMin, Hardmax and TopK do."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError, EncryptedTensor, LoweringContext, reshape
from cml_ops_builtin._shared.comparing_all import best_places, one_hot_best, top
from cml_ops_builtin._shared.flags import flag
from cml_ops_builtin._shared.positions import integers, one_axis

__all__ = [
    "GRID_RESTRICTION",
    "best_place",
    "quantized_best_place",
    "quantized_hardmax",
    "quantized_top",
    "top_k_of",
]

GRID_RESTRICTION = (
    "encrypted elements are compared on one grid of the activation width; those closer than its "
    "step may be taken for equal"
)


def best_place(choose, x, *, axis, keepdims, select_last_index) -> np.ndarray:
    """Where along an axis `choose` (argmax or argmin) finds its element: the first or the last."""
    axis = _full_axis(x, axis)
    keepdims, last = flag("keepdims", keepdims), flag("select_last_index", select_last_index)
    place = choose(np.flip(x, axis) if last else x, axis=axis, keepdims=keepdims)
    return np.asarray(x.shape[axis] - 1 - place if last else place, dtype=np.int64)


def quantized_best_place(
    ctx: LoweringContext, x: EncryptedTensor, *, axis, keepdims, select_last_index, smallest
):
    axis = _full_axis(x, axis)
    kept = tuple(1 if k == axis else size for k, size in enumerate(x.shape))
    shape = kept if flag("keepdims", keepdims) else kept[:axis] + kept[axis + 1 :]
    last = flag("select_last_index", select_last_index)
    if x.shape[axis] == 1 or x.register.size == 0:
        return np.zeros(shape, dtype=np.int64)
    place = best_places(ctx, x, axis, smallest=smallest, last=last)
    return reshape(ctx, place, shape)


def quantized_hardmax(ctx: LoweringContext, x: EncryptedTensor, *, axis):
    axis = one_axis(axis, x.ndim)
    if x.shape[axis] == 1 or x.register.size == 0:
        return (np.ones(x.shape, dtype=x.dtype),)
    return (one_hot_best(ctx, x, axis),)


def top_k_of(x, k, *, axis, largest) -> tuple[np.ndarray, np.ndarray]:
    """The first k elements in order, and where they are; of equals, the first comes first."""
    axis, count = _top_arguments(x, k, axis)
    largest = flag("largest", largest)
    if _few_of_many(x, axis, count):
        places = _chosen(np.moveaxis(x, axis, -1), count, largest)
        if places is not None:
            places = np.ascontiguousarray(np.moveaxis(places, -1, axis))
            values, order = _first_sorted(np.take_along_axis(x, places, axis), count, axis, largest)
            return values, np.take_along_axis(places, order, axis)
    return _first_sorted(x, count, axis, largest)


def _first_sorted(x, count, axis, largest):
    # A stable sort of the flipped array, read backwards, falls and keeps equals in their order.
    turned = np.flip(x, axis) if largest else x
    order = np.argsort(turned, axis=axis, kind="stable")
    order = x.shape[axis] - 1 - np.flip(order, axis) if largest else order
    places = np.take(order, np.arange(count), axis=axis)
    return np.take_along_axis(x, places, axis=axis), places.astype(np.int64)


def _few_of_many(x, axis, count) -> bool:
    """Whether a partition pays; integers of up to 16 bits are sorted by radix, which is faster."""
    size, kind = x.shape[axis], x.dtype.kind
    by_comparison = kind == "f" or (kind in "iu" and x.dtype.itemsize >= 4)
    return by_comparison and x.size >= 1000 and 128 <= size < 2**31 and 0 < 8 * count <= size


def _chosen(x, count, largest):
    """Rising places of the first elements along the last axis, or None where one is NaN."""
    size = x.shape[-1]
    last = size - count if largest else count - 1
    split = np.partition(x, last, axis=-1)
    bound = split[..., last : last + 1]
    # NaN is sorted behind all numbers, and compares with none.
    if x.dtype.kind == "f" and np.isnan(split[..., last:] if largest else bound).any():
        return None
    taken = x >= bound if largest else x <= bound
    if np.count_nonzero(taken) != count * (x.size // size):
        # Some rows have more elements like the last one than places for them: the first few stay.
        same = x == bound
        better = taken & ~same
        room = count - better.sum(axis=-1, keepdims=True)
        taken = better | (same & (np.cumsum(same, axis=-1, dtype=np.int32) <= room))
    return (np.flatnonzero(taken) % size).reshape(*x.shape[:-1], count)


def quantized_top(ctx: LoweringContext, x: EncryptedTensor, k, *, axis, largest):
    axis, count = _top_arguments(x, k, axis)
    shape = tuple(count if place == axis else size for place, size in enumerate(x.shape))
    if count == 0 or x.register.size == 0:
        return np.zeros(shape, dtype=x.dtype), np.zeros(shape, dtype=np.int64)
    if x.shape[axis] == 1:
        return x, np.zeros(shape, dtype=np.int64)
    return top(ctx, x, axis, count, smallest=not flag("largest", largest))


def _top_arguments(x, k, axis: int) -> tuple[int, int]:
    axis = one_axis(axis, x.ndim)
    if np.size(k) != 1 or not 0 <= integers(k)[0] <= x.shape[axis]:
        expected = f"one number from 0 to {x.shape[axis]}, the size of the axis"
        raise AttributeValueError("k", np.asarray(k).tolist(), expected)
    return axis, integers(k)[0]


def _full_axis(x, axis: int) -> int:
    axis = one_axis(axis, x.ndim)
    if x.shape[axis] == 0:
        raise AttributeValueError("axis", axis, "an axis that has elements")
    return axis
