"""Which elements along an axis are the largest: positions and values of the first k.

Two ways, of which the one of less complexity is taken. With n elements of b bits:

- rounds: the largest value by a tournament (n - 1 lookups of b + 1 bits), the elements that equal
  it (n - 1 of b bits), and which of them is the first (n - 2 of 3 bits); then the same for what
  is left;
- ranks: all pairs (n (n - 1) / 2 lookups of b + 1 bits), whose results add up to the rank of each
  element, and a lookup of log2(n) bits for each element and rank wanted.
"""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.plugin_api import EncryptedTensor, LoweringContext, move
from cml_ops_builtin._shared.keys import Keys, exact, keys_along
from cml_ops_builtin._shared.ranking import (
    Hot,
    best_by_rank,
    best_by_round,
    falling,
    places_by_rank,
    rounds,
)

__all__ = ["best_places", "one_hot_best", "top"]


def top(
    ctx: LoweringContext, x: EncryptedTensor, axis: int, count: int, *, smallest: bool
) -> tuple[EncryptedTensor, EncryptedTensor]:
    """The first `count` elements along an axis in falling order (rising if `smallest`).

    Returns
    -------
    values, places : EncryptedTensor
        Of equals, the first comes first. `count` is at least 1; the axis has two elements at
        least.
    """
    keys = keys_along(ctx, x, axis, count, smallest=smallest, reverse=False)
    size = keys.register.shape[-1]
    if _ranks_cost(size, count, keys.levels) <= _rounds_cost(size, count, keys.levels):
        places = places_by_rank(ctx, keys, count)
        values = falling(ctx, keys, count)
    else:
        values, places = rounds(ctx, keys, count)
    return keys.values(values), _as_places(ctx, places, axis, np.arange(size))


def best_places(
    ctx: LoweringContext, x: EncryptedTensor, axis: int, *, smallest: bool, last: bool
) -> EncryptedTensor:
    """Where along an axis the best element is; size 1 is kept there. Of equals, first or last."""
    keys = keys_along(ctx, x, axis, 1, smallest=smallest, reverse=last)
    number = np.arange(keys.register.shape[-1])
    hot = _best(ctx, keys)
    return _as_places(
        ctx, hot.weighed(ctx, number[:, np.newaxis]), axis, number[::-1] if last else number
    )


def one_hot_best(ctx: LoweringContext, x: EncryptedTensor, axis: int) -> EncryptedTensor:
    """One for the first of the largest elements along an axis, zero for the others."""
    keys = keys_along(ctx, x, axis, 1, smallest=False, reverse=False)
    size = keys.register.shape[-1]
    hot = exact(ctx, _best(ctx, keys).weighed(ctx, np.eye(size, dtype=np.int64)), 0, 1)
    (back,) = move(ctx, lambda a: np.moveaxis(a, -1, axis), [hot])
    return attrs.evolve(back, dtype=x.dtype)


def _best(ctx: LoweringContext, keys: Keys) -> Hot:
    size = keys.register.shape[-1]
    by_rank = _ranks_cost(size, 1, keys.levels, values=False)
    if by_rank <= _rounds_cost(size, 1, keys.levels):
        return best_by_rank(ctx, keys)
    return best_by_round(ctx, keys)


def _as_places(
    ctx: LoweringContext, register: object, axis: int, number: np.ndarray
) -> EncryptedTensor:
    """Bring places onto their axis; `number` says which element was compared in which place."""
    place = exact(ctx, register, 0, len(number) - 1)
    sign = int(number[1] - number[0])
    result = EncryptedTensor.on_grid(
        place.register, sign, number[0] + sign * place.decode(np.int64(0), place.channel), np.int64
    )
    (back,) = move(ctx, lambda a: np.moveaxis(a, -1, axis), [result])
    return attrs.evolve(back, dtype=np.dtype(np.int64))


def _complexity(levels: int) -> float:
    """Complexity of a lookup among so many integers, as a multiple of a constant."""
    width = max(1, (levels - 1).bit_length())
    return float(1.5 ** min(width, 4) * 2.3 ** max(width - 4, 0))


def _ranks_cost(size: int, count: int, levels: int, *, values: bool = True) -> float:
    gap, rank = _complexity(2 * levels - 1), _complexity(size)
    asked = 0.0 if size == 2 else min(count, size - 1) * (size - 1) * rank
    sorting = sum(size - 1 - k for k in range(min(count, size))) if values else 0
    return (size * (size - 1) / 2 + sorting) * gap + asked


def _rounds_cost(size: int, count: int, levels: int) -> float:
    gap, same = _complexity(2 * levels - 1), _complexity(levels)
    first = (size - 1) * (gap + same) + (size - 2) * _complexity(8)
    again = (size - 1) * 2 * gap + (size - 2) * _complexity(8) + size * gap
    return first + (count - 1) * again
