"""Keys: encrypted integers in the order of the values they stand for, compared exactly.

All elements along an axis come onto one grid first. From there on nothing is rounded, and every
table holds all integers that can occur, so what is found is exact on that grid.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    Grid,
    LoweringContext,
    Opcode,
    elementwise,
    lookup,
    move,
    requantize,
)

__all__ = ["Keys", "exact", "join", "keys_along", "looked_up", "moved", "on_one_grid", "winner"]

#: Samples from which calibration is believed in how far the best elements fall behind.
_ENOUGH = 32


@attrs.frozen(slots=True, eq=False)
class Keys:
    """Integers from 0 on; of those that compete, along the last axis, the largest one wins.

    Parameters
    ----------
    register : Register of shape (*outer, n)
        The integers.
    levels : int
        How many integers there are.
    values : callable
        `values(register) -> EncryptedTensor`: what keys of shape (*outer, k) stand for.
    """

    register: Any
    levels: int
    values: Callable[[Any], EncryptedTensor]


def moved(ctx: LoweringContext, function: Callable[..., Any], register: Any) -> Any:
    """Move the elements of a register."""
    (result,) = move(ctx, function, [_bare(register)])
    return result.register


def join(ctx: LoweringContext, *registers: Any) -> Any:
    """Put registers next to each other along their last axis."""
    if len(registers) == 1:
        return registers[0]
    (result,) = move(
        ctx, lambda *parts: np.concatenate(parts, axis=-1), [_bare(r) for r in registers]
    )
    return result.register


def _bare(register: Any) -> EncryptedTensor:
    return EncryptedTensor.on_grid(register, 1.0, 0.0, np.float64)


def exact(
    ctx: LoweringContext, register: Any, low: int | None = None, high: int | None = None
) -> EncryptedTensor:
    """Return the integers of a register as a tensor that can take all that are possible.

    An accumulator is otherwise as wide as calibration saw it, and may be rounded.

    Parameters
    ----------
    low, high : int, optional
        Bounds that the caller knows to be tighter than those of interval arithmetic.
    """
    bounds = register.bounds
    if low is not None:
        bounds = attrs.evolve(
            bounds, low=np.maximum(bounds.low, low), high=np.minimum(bounds.high, high)
        )
    base = int(bounds.low.min())
    shifted = ctx.builder.emit(
        Opcode.ADD,
        [register],
        constants={"operand": np.full(register.shape, -base)},
        interval=attrs.evolve(register.interval, low=0, high=int(bounds.high.max()) - base),
        bounds=attrs.evolve(bounds, low=bounds.low - base, high=bounds.high - base),
        packed=True,
    )
    return EncryptedTensor.on_grid(shifted, 1.0, base, np.float64)


def looked_up(
    ctx: LoweringContext,
    register: Any,
    function: Callable[..., Any],
    levels: int,
    *clear: np.ndarray,
) -> Any:
    """Look up `function(integers, *clear)`, which gives integers below `levels`."""
    tensor = elementwise(ctx, function, exact(ctx, register), *clear)
    return lookup(ctx, tensor, Grid(1.0, 0.0, levels)).register


def keys_along(
    ctx: LoweringContext,
    x: EncryptedTensor,
    axis: int,
    count: int,
    *,
    smallest: bool,
    reverse: bool,
) -> Keys:
    """Make keys of the elements along an axis, by one lookup each unless they are on one grid.

    Parameters
    ----------
    count : int
        How many of them will be wanted. No grid reaches to what never is.
    smallest : bool
        The smallest value wins.
    reverse : bool
        The last element comes first.
    """
    dtype = x.dtype
    if not _is_ordered(ctx, x, axis):
        x = requantize(ctx, _bounded(ctx, x, axis, count, smallest=smallest))

    def arrange(a: np.ndarray) -> np.ndarray:
        last = np.moveaxis(a, axis, -1)
        return last[..., ::-1] if reverse else last

    register = moved(ctx, arrange, x.register)
    channel = np.moveaxis(x.channel, axis, -1)[..., :1]
    low, high = int(register.bounds.low.min()), int(register.bounds.high.max())
    sign, base = (-1, high) if smallest else (1, -low)
    if smallest:
        negative = {"operand": np.full(register.shape, -1)}
        register = ctx.builder.emit(Opcode.MULTIPLY, [register], constants=negative)
    if base:
        shift = {"operand": np.full(register.shape, base)}
        register = ctx.builder.emit(Opcode.ADD, [register], constants=shift)

    def decode(key: np.ndarray, channel: np.ndarray) -> np.ndarray:
        return x.decode(sign * (np.rint(key).astype(np.int64) - base), channel)

    def values(chosen: Any) -> EncryptedTensor:
        best = exact(ctx, chosen, 0, high - low)
        result = elementwise(ctx, decode, best, np.broadcast_to(channel, chosen.shape))
        (back,) = move(ctx, lambda a: np.moveaxis(a, -1, axis), [result])
        return attrs.evolve(back, dtype=dtype)

    return Keys(register, high - low + 1, values)


def on_one_grid(ctx: LoweringContext, x: EncryptedTensor, axis: int) -> EncryptedTensor:
    """Give the elements along an axis few integers, in the order of their values, on one grid.

    By one lookup for each element, unless they are that already.
    """
    return x if _is_ordered(ctx, x, axis) else requantize(ctx, x)


def _is_ordered(ctx: LoweringContext, x: EncryptedTensor, axis: int) -> bool:
    """Whether integers are few, and in the same order as the values they stand for."""
    low, high = int(x.register.bounds.low.min()), int(x.register.bounds.high.max())
    few = high - low < 2 ** (ctx.bits.activation_bits or 4)
    if not few or np.ptp(x.channel, axis=axis).any():
        return False
    integers, channel = np.arange(low, high + 1), np.arange(x.decode.channels)
    value = x.decode(integers[np.newaxis], channel[:, np.newaxis]).astype(np.float64)
    return bool((np.diff(value, axis=1) > 0).all())


def _bounded(
    ctx: LoweringContext, x: EncryptedTensor, axis: int, count: int, *, smallest: bool
) -> EncryptedTensor:
    """Clip what is too far behind to be among the first, so that the others get a finer grid.

    How far the last one wanted fell behind is seen in calibration; a tenth of the range is added.
    """
    values = x.values().astype(np.float64)
    low, high = ctx.value_range(x)
    if len(values) < _ENOUGH or not np.isfinite(values).all():
        return x
    reach = (high - low) / 10
    ordered = np.sort(values, axis=axis + 1)
    place = count - 1 if smallest else -count
    last = np.take(ordered, place, axis=axis + 1)
    ends = (low, last.max() + reach) if smallest else (last.min() - reach, high)
    if ends[0] <= low and ends[1] >= high:
        return x
    return elementwise(ctx, lambda v: np.clip(v, *ends), x)


def winner(ctx: LoweringContext, register: Any, levels: int) -> tuple[Any, Any]:
    """Find the largest key by a tournament: n - 1 lookups, half of what is left at a time.

    Returns
    -------
    best : register of shape (*outer, 1)
        The largest.
    others : register of shape (*outer, n - 1) or None
        All others, in some order.
    """
    others = []
    while register.shape[-1] > 1:
        half = register.shape[-1] // 2
        left = moved(ctx, lambda a, h=half: a[..., :h], register)
        right = moved(ctx, lambda a, h=half: a[..., h : 2 * h], register)
        gap = ctx.builder.emit(Opcode.SUBTRACT, [left, right])
        lead = looked_up(ctx, gap, lambda d: np.maximum(d, 0), levels)
        a, b = left.bounds, right.bounds
        upper = attrs.evolve(a, low=np.maximum(a.low, b.low), high=np.maximum(a.high, b.high))
        lower = attrs.evolve(a, low=np.minimum(a.low, b.low), high=np.minimum(a.high, b.high))
        best = ctx.builder.emit(Opcode.ADD, [right, lead], bounds=upper)
        others.append(ctx.builder.emit(Opcode.SUBTRACT, [left, lead], bounds=lower))
        if register.shape[-1] % 2:
            best = join(ctx, best, moved(ctx, lambda a, h=half: a[..., 2 * h :], register))
        register = best
    return register, join(ctx, *others) if others else None
