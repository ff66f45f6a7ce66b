"""The two ways to find the largest of encrypted keys: ranks from all pairs, and rounds."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np

from cml_core.plugin_api import LoweringContext, Opcode
from cml_ops_builtin._shared.keys import Keys, join, looked_up, moved, winner

__all__ = [
    "Hot",
    "best_by_rank",
    "best_by_round",
    "by_complement",
    "falling",
    "places_by_rank",
    "rounds",
]

#: Elements that are searched together for the first one: with one more bit they count to 7.
_BLOCK = 6


@attrs.frozen(slots=True, eq=False)
class Hot:
    """A one-hot vector of n places as n - 1 encrypted bits: `bits @ matrix + constant`."""

    bits: Any
    matrix: np.ndarray
    constant: np.ndarray

    def weighed(self, ctx: LoweringContext, weights: np.ndarray) -> Any:
        """Multiply the one-hot vector by clear weights (n, m): picks one of their rows."""
        shape = (*self.bits.shape[:-1], weights.shape[1])
        product = ctx.builder.emit(
            Opcode.MATMUL, [self.bits], constants={"weight": self.matrix @ weights}
        )
        bounds = attrs.evolve(
            product.bounds,
            low=np.broadcast_to(weights.min(axis=0), shape).astype(np.int64),
            high=np.broadcast_to(weights.max(axis=0), shape).astype(np.int64),
        )
        operand = np.broadcast_to(self.constant @ weights, shape).copy()
        return ctx.builder.emit(
            Opcode.ADD, [product], constants={"operand": operand}, bounds=bounds
        )


def by_complement(bits: Any) -> Hot:
    """One-hot vector from the bits of all places but the last, which is on if no other one is."""
    size = bits.shape[-1] + 1
    matrix = np.eye(size - 1, size, dtype=np.int64)
    matrix[:, -1] = -1
    return Hot(bits, matrix, np.eye(size, dtype=np.int64)[-1])


def best_by_rank(ctx: LoweringContext, keys: Keys) -> Hot:
    """Find the first of the largest keys by comparing all pairs."""
    ranks = moved(ctx, lambda a: a[..., :-1], _ranks(ctx, keys))
    return by_complement(_named(ctx, ranks, np.zeros(1), keys.register.shape[-1]))


def best_by_round(ctx: LoweringContext, keys: Keys) -> Hot:
    """Find the first of the largest keys by a tournament."""
    largest, _ = winner(ctx, keys.register, keys.levels)
    return _first_equal(ctx, keys.register, largest)


def _ranks(ctx: LoweringContext, keys: Keys) -> Any:
    """How many others each key is behind: all pairs, compared."""
    size = keys.register.shape[-1]
    first, second = np.triu_indices(size, 1)
    left, right = (moved(ctx, lambda a, p=p: a[..., p], keys.register) for p in (first, second))
    gap = ctx.builder.emit(Opcode.SUBTRACT, [left, right])
    leads = looked_up(ctx, gap, lambda d: d >= 0, 2)
    pair = np.arange(len(first))
    behind = np.zeros((len(first), size), dtype=np.int64)
    behind[pair, first], behind[pair, second] = -1, 1
    sums = ctx.builder.emit(Opcode.MATMUL, [leads], constants={"weight": behind})
    operand = np.broadcast_to(np.arange(size)[::-1], sums.shape).copy()
    return ctx.builder.emit(Opcode.ADD, [sums], constants={"operand": operand})


def _named(ctx: LoweringContext, ranks: Any, wanted: np.ndarray, size: int) -> Any:
    """Which ranks are the wanted ones, as bits; of two elements no lookup need ask."""
    if size > 2:
        return looked_up(ctx, ranks, lambda rank, place: rank == place, 2, wanted)
    sign = np.broadcast_to(np.where(wanted == 0, -1, 1), ranks.shape).astype(np.int64)
    signed = ctx.builder.emit(Opcode.MULTIPLY, [ranks], constants={"operand": sign})
    one = (sign < 0).astype(np.int64)
    return ctx.builder.emit(Opcode.ADD, [signed], constants={"operand": one})


def places_by_rank(ctx: LoweringContext, keys: Keys, count: int) -> Any:
    """Where the keys of the first ranks are: (*outer, count)."""
    size = keys.register.shape[-1]
    rows = min(count, size - 1)
    ranks = _ranks(ctx, keys)
    spread = moved(
        ctx,
        lambda a: np.broadcast_to(a[..., np.newaxis, :-1], (*a.shape[:-1], rows, size - 1)),
        ranks,
    )
    hot = by_complement(_named(ctx, spread, np.arange(rows)[:, np.newaxis], size))
    places = hot.weighed(ctx, np.arange(size)[:, np.newaxis])
    places = moved(ctx, lambda a: a[..., 0], places)
    if count == rows:
        return places
    # All places together are known, so the last one is what the others leave.
    rest = np.concatenate([np.eye(rows, dtype=np.int64), np.full((rows, 1), -1)], axis=1)
    product = ctx.builder.emit(Opcode.MATMUL, [places], constants={"weight": rest})
    operand = np.zeros(product.shape, dtype=np.int64)
    operand[..., -1] = size * (size - 1) // 2
    return ctx.builder.emit(Opcode.ADD, [product], constants={"operand": operand})


def falling(ctx: LoweringContext, keys: Keys, count: int) -> Any:
    """The first keys in falling order: a tournament among those that have not won yet."""
    found, pool = [], keys.register
    for _ in range(count):
        best, pool = winner(ctx, pool, keys.levels)
        found.append(best)
    return join(ctx, *found)


def rounds(ctx: LoweringContext, keys: Keys, count: int) -> tuple[Any, Any]:
    """Find the best key and where it is, put it out of the game, and begin again."""
    size, levels = keys.register.shape[-1], keys.levels
    pool, gone = keys.register, None
    values, places = [], []
    for left in range(count, 0, -1):
        best, _ = winner(ctx, pool, levels)
        hot = _first_equal(ctx, pool, best, gone, levels)
        values.append(best)
        places.append(hot.weighed(ctx, np.arange(size)[:, np.newaxis]))
        if left == 1:
            break
        ones = hot.weighed(ctx, np.eye(size, dtype=np.int64))
        gone = ones if gone is None else ctx.builder.emit(Opcode.ADD, [gone, ones])
        # The winner becomes zero: as low as the lowest, but for the mark that it is gone.
        pool = looked_up(
            ctx, _penalized(ctx, pool, ones, -levels), lambda v: np.maximum(v, 0), levels
        )
    return join(ctx, *values), join(ctx, *places)


def _penalized(ctx: LoweringContext, register: Any, marks: Any, amount: int) -> Any:
    operand = np.full(marks.shape, amount)
    product = ctx.builder.emit(Opcode.MULTIPLY, [marks], constants={"operand": operand})
    return ctx.builder.emit(Opcode.ADD, [register, product])


def _first_equal(
    ctx: LoweringContext, register: Any, best: Any, gone: Any = None, levels: int = 0
) -> Hot:
    """Which key equals the largest one, the first if there are several.

    Bit i says whether one was met up to place i; the last bit would always be on.
    """
    size = register.shape[-1]
    spread = moved(ctx, lambda a: np.broadcast_to(a, register.shape), best)
    gap = ctx.builder.emit(Opcode.SUBTRACT, [spread, register])
    gap = gap if gone is None else _penalized(ctx, gap, gone, levels)
    equal = looked_up(ctx, moved(ctx, lambda a: a[..., :-1], gap), lambda d: d == 0, 2)
    met = [moved(ctx, lambda a: a[..., :1], equal)]
    for start in range(1, size - 1, _BLOCK):
        block = moved(ctx, lambda a, s=start: a[..., s : s + _BLOCK], equal)
        before = np.triu(np.ones((block.shape[-1],) * 2, dtype=np.int64))
        count = ctx.builder.emit(Opcode.MATMUL, [block], constants={"weight": before})
        carry = moved(ctx, lambda a, w=count.shape: np.broadcast_to(a[..., -1:], w), met[-1])
        count = ctx.builder.emit(Opcode.ADD, [count, carry])
        met.append(looked_up(ctx, count, lambda v: np.minimum(v, 1), 2))
    matrix = np.eye(size - 1, size, dtype=np.int64) - np.eye(size - 1, size, 1, dtype=np.int64)
    return Hot(join(ctx, *met), matrix, np.eye(size, dtype=np.int64)[-1])
