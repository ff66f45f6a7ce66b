"""Random shapes, axes and arrays for the strategies, cheap to draw.

An array costs two draws, not one per element: its elements come from a seed. It shrinks toward
fewer elements and to the first seed of the plainest kind of values.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

__all__ = [
    "ALL",
    "BFLOAT16",
    "BOOL",
    "FLOATS",
    "HALF",
    "INTEGERS",
    "KINDS",
    "SIGNED",
    "STRINGS",
    "UNSIGNED",
    "array",
    "axis_of",
    "broadcastable",
    "optional",
    "several_axes",
    "shape",
]

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
HALF = (np.dtype(np.float16),)
BFLOAT16 = (np.dtype(ml_dtypes.bfloat16),)
SIGNED = tuple(np.dtype(t) for t in (np.int8, np.int16, np.int32, np.int64))
UNSIGNED = tuple(np.dtype(t) for t in (np.uint8, np.uint16, np.uint32, np.uint64))
INTEGERS = SIGNED + UNSIGNED
BOOL = (np.dtype(bool),)
STRINGS = (np.dtype(object),)
ALL = FLOATS + HALF + INTEGERS + BOOL

#: Kinds of values: ordinary ones; few different ones, so that there are ties and zeros; and the
#: ends of the type among ordinary ones (infinities, NaN, -0, denormals, the largest and smallest).
#: A fourth kind, "infinite", has no finite ends, whose sums depend on the order of summation.
KINDS = ("plain", "ties", "special")


def shape(draw, min_rank=0, max_rank=4, *, min_size=0, max_size=4):
    """Draw a shape; sizes of 0 are rare."""
    sizes = st.integers(max(min_size, 1), max_size)
    result = tuple(draw(st.lists(sizes, min_size=min_rank, max_size=max_rank)))
    if result and min_size == 0 and draw(st.integers(0, 7)) == 7:
        place = draw(st.integers(0, len(result) - 1))
        result = (*result[:place], 0, *result[place + 1 :])
    return result


def array(draw, dtype, shape, *, kinds=KINDS, low=None, high=None):
    """Draw an array, its values within `low` and `high` where these are given (ends included)."""
    dtype = np.dtype(dtype)
    kind = draw(st.sampled_from(kinds))
    rng = np.random.default_rng(draw(st.integers(0, 2**16 - 1)))
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind == "O":
        return rng.choice(np.array(["", "a", "bc", "Ü"], dtype=object), shape)
    if dtype.kind in "iu":
        return _integers(rng, dtype, shape, kind, low, high)
    values = rng.integers(-3, 4, shape) if kind == "ties" else rng.normal(0, 3, shape)
    values = np.clip(values, low, high) if low is not None or high is not None else values
    with np.errstate(all="ignore"):
        values = np.asarray(values, dtype=dtype)
        if kind in ("special", "infinite"):
            ends = _special(dtype, low, high)
            ends = ends if kind == "special" else ends[~np.isfinite(ends) | (abs(ends) < 3)]
            values = np.where(rng.random(shape) < 0.5, rng.choice(ends, shape), values)
    return np.asarray(values, dtype=dtype)


def _integers(rng, dtype, shape, kind, low, high):
    info = np.iinfo(dtype)
    low = info.min if low is None else max(int(low), info.min)
    high = info.max if high is None else min(int(high), info.max)
    few, many = (3, 100) if kind == "ties" else (100, 100)
    values = rng.integers(max(low, -few), min(high, few if kind == "ties" else many) + 1, shape)
    values = np.asarray(values, dtype=dtype)
    if kind == "special":
        ends = np.array([low, high, min(high, low + 1), max(low, high - 1)], dtype=dtype)
        values = np.where(rng.random(shape) < 0.5, rng.choice(ends, shape), values)
    return np.asarray(values, dtype=dtype)


def _special(dtype, low, high):
    info = ml_dtypes.finfo(dtype)
    values = [np.nan, np.inf, -np.inf, 0.0, -0.0, info.smallest_subnormal, info.max, info.min]
    ends = np.array([*values, 0.5, -0.5, 1.0, -1.0, 2.5], dtype=dtype)
    if low is None and high is None:
        return ends
    inside = (ends >= (-np.inf if low is None else low)) & (
        ends <= (np.inf if high is None else high)
    )
    return ends[inside]


def axis_of(draw, rank, *, negative=True):
    """Draw an axis of a tensor of this rank, counted from either end unless told otherwise."""
    return draw(st.integers(-rank if negative else 0, rank - 1))


def several_axes(draw, rank, *, negative=True, min_size=0):
    """Draw different axes in any order."""
    chosen = draw(
        st.lists(st.integers(0, rank - 1), unique=True, min_size=min_size, max_size=rank)
        if rank
        else st.just([])
    )
    return [a - rank if negative and draw(st.booleans()) else a for a in chosen]


def broadcastable(draw, count=2, *, max_rank=4, max_size=4):
    """Draw shapes that broadcast with each other."""
    whole = shape(draw, 0, max_rank, max_size=max_size)
    return [_part(draw, whole) for _ in range(count)]


def _part(draw, whole):
    kept = whole[draw(st.integers(0, len(whole))) if draw(st.booleans()) else 0 :]
    return tuple(1 if draw(st.integers(0, 3)) == 3 else size for size in kept)


def optional(draw, **attributes):
    """Leave out some of the attributes, so that their defaults are tested too."""
    return {name: value for name, value in attributes.items() if draw(st.booleans())}
