"""Sums of products of encrypted numbers, straight onto one grid.

A product takes two lookups, `xy = (x + y)^2 / 4 - (x - y)^2 / 4`, one bit wider than its wider
operand. Their tables hold multiples of one step, whatever the operands' scales are, so any number
of products (and of other integers on that step) add up without a further lookup.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    Grid,
    LoweringContext,
    Opcode,
    affine,
    elementwise,
    lookup,
    requantize,
)

__all__ = ["OnGrid", "bilinear", "samples_of", "sum_of_products"]


def samples_of(tensor: Any) -> np.ndarray:
    """Finite real values on the calibration samples; a clear array counts as one sample."""
    real = tensor.values() if _encrypted(tensor) else np.asarray(tensor)[np.newaxis]
    return np.nan_to_num(real.astype(np.float64), posinf=0.0, neginf=0.0)


@attrs.frozen(slots=True, eq=False)
class OnGrid:
    """Encrypted integers that stand for `scale * q + offset`.

    Parameters
    ----------
    register : Register
        The integers q.
    scale, offset : float array of the register's shape
        The grid; no scale is zero.
    low, high : int array of the register's shape
        Which integers each element takes: proven, or what calibration has seen if that is less.
    """

    register: Any
    scale: np.ndarray
    offset: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def is_proven(self) -> bool:
        """Whether no element can leave `low` and `high`."""
        bounds = self.register.bounds
        return bool((bounds.low >= self.low).all() and (bounds.high <= self.high).all())

    @property
    def samples(self) -> np.ndarray:
        """Real values on the calibration samples."""
        return self.real(self.register.samples)

    @classmethod
    def of(
        cls, ctx: LoweringContext, tensor: EncryptedTensor, levels: int, step: float = 1.0
    ) -> OnGrid:
        """Look a tensor up on a grid, unless it is on one of at most `levels` values already.

        Elements that never change are written with the given step.
        """
        interval = tensor.register.interval
        if interval.high - interval.low >= levels:
            tensor = requantize(ctx, tensor)
        # However wide they are: these integers meet no weights.
        view = affine(attrs.evolve(ctx, feeds_lookup=False), tensor)
        interval, bounds = view.register.interval, view.register.bounds
        low, high = (np.clip(b, interval.low, interval.high) for b in (bounds.low, bounds.high))
        scale = np.where(view.scale == 0, step, view.scale)
        return cls(view.register, scale, view.offset + (view.scale - scale) * low, low, high)

    @classmethod
    def at(cls, ctx: LoweringContext, tensor: EncryptedTensor, step: float | np.ndarray) -> OnGrid:
        """Look a tensor up on a grid of a given step, over its range."""
        steps = np.broadcast_to(np.asarray(step, dtype=np.float64), tensor.shape)
        real = samples_of(tensor) / steps
        low = np.floor(real.min(initial=0.0))
        levels = int(np.ceil(real.max(initial=0.0)) - low) + 1
        register = lookup(ctx, tensor, Grid(steps, low * steps, levels)).register
        return cls(register, steps, low * steps, register.bounds.low, register.bounds.high)

    def tensor(self, dtype: Any) -> EncryptedTensor:
        """Return them as an encrypted tensor."""
        return EncryptedTensor.on_grid(self.register, self.scale, self.offset, dtype)

    def real(self, q: np.ndarray) -> np.ndarray:
        """Real values of integers."""
        return self.scale * q + self.offset

    def joined(
        self,
        ctx: LoweringContext,
        other: OnGrid,
        sign: int = 1,
        *,
        limits: tuple[np.ndarray, np.ndarray] | None = None,
        proven: tuple[np.ndarray, np.ndarray] | None = None,
        packed: bool = False,
    ) -> OnGrid:
        """Add (or subtract) integers; scale and offset stay this one's.

        Parameters
        ----------
        limits : pair of int array, optional
            Further limits of the integers that each element takes.
        proven : pair of int array, optional
            What no element can leave, where the caller knows better.
        packed : bool
            Keep a lookup from rounding the result, and give it all integers that the operands
            may meet in, although calibration has not seen them.
        """
        ends = (other.low, other.high) if sign > 0 else (-other.high, -other.low)
        low, high = self.low + ends[0], self.high + ends[1]
        if limits is not None:
            low, high = np.clip(low, *limits), np.clip(high, *limits)
        interval, bounds = self.register.interval, self.register.bounds
        if low.size:
            interval = attrs.evolve(interval, low=low.min(), high=high.max())
        register = ctx.builder.emit(
            Opcode.ADD if sign > 0 else Opcode.SUBTRACT,
            [self.register, other.register],
            interval=interval,
            bounds=proven and attrs.evolve(bounds, low=proven[0], high=proven[1]),
            packed=packed,
        )
        return attrs.evolve(self, register=register, low=low, high=high)


def bilinear(
    ctx: LoweringContext,
    terms: Sequence[tuple[Any, Any]],
    *,
    levels: int,
    operands: int,
    span: tuple[float, float] | None = None,
) -> Any:
    """Sum the products of pairs of tensors, each encrypted or clear.

    Parameters
    ----------
    levels : int
        How many values the result may take.
    operands : int
        How many a factor may take; wider ones are looked up at the node's activation width.
    span : pair of float, optional
        What the result ranges over. By default, what calibration shows, with the margin that
        accumulators have, and the result stays in there.

    Returns
    -------
    EncryptedTensor, or array if all is clear
    """
    useful = [t for t in terms if all(_encrypted(f) or np.any(f) for f in t)]
    single = [t for t in useful if _encrypted(t[0]) != _encrypted(t[1])]
    pairs = [t for t in useful if _encrypted(t[0]) and _encrypted(t[1])]
    shape = np.broadcast_shapes(*(factor.shape for pair in terms for factor in pair))
    clear = [x * y for x, y in useful if not _encrypted(x) and not _encrypted(y)]
    constant = sum(clear, start=np.zeros(shape))
    if not single and not pairs:
        return constant
    grids = [tuple(OnGrid.of(ctx, factor, operands) for factor in pair) for pair in pairs]
    limits, room = None, 1
    if span is None:
        real = sum(x.samples * y.samples for x, y in grids)
        real = constant + real + sum(samples_of(x) * samples_of(y) for x, y in single)
        low, high = float(real.min(initial=0.0)), float(real.max(initial=0.0))
        extra = ctx.builder.margin * (high - low)
        span = low - extra, high + extra
        limits = None if ctx.builder.proven else tuple(end - constant for end in span)
        # What the rounding of all tables, and of the ends, adds.
        room = 2 * len(pairs) + len(single) + 2
    step = (span[1] - span[0]) / max(levels - 1 - room, 1) or 1.0
    others = [OnGrid.at(ctx, elementwise(ctx, np.multiply, x, y), step) for x, y in single]
    result = sum_of_products(ctx, grids, step, others=others, limits=limits)
    dtype = next(f.dtype for pair in (*pairs, *single) for f in pair if _encrypted(f))
    return attrs.evolve(result, offset=result.offset + constant).tensor(dtype)


def _encrypted(tensor: Any) -> bool:
    return isinstance(tensor, EncryptedTensor)


def sum_of_products(
    ctx: LoweringContext,
    pairs: Sequence[tuple[OnGrid, OnGrid]],
    step: float | np.ndarray,
    *,
    others: Sequence[OnGrid] = (),
    limits: tuple[np.ndarray, np.ndarray] | None = None,
) -> OnGrid:
    """Multiply pairs and add all products up, with integers that are on the step already.

    Parameters
    ----------
    limits : pair of float or float array, optional
        Real values that calibration says the sum of the exact numbers stays in. By default those
        that the operands' integers allow.
    """
    tables = [table for x, y in pairs for table in _tables(ctx, x, y, step)]
    parts = [*tables, *others]
    offset = sum(part.offset for part in parts)

    def integers(low, high, rounded: int) -> tuple[np.ndarray, np.ndarray]:
        # Each rounding is off by half a step at most.
        low = np.floor((low - offset) / step - 0.5 * rounded + 0.01)
        high = np.ceil((high - offset) / step + 0.5 * rounded - 0.01)
        return low.astype(np.int64), high.astype(np.int64)

    ends = [_corners(x, y) for x, y in pairs]
    ends += [(part.real(part.low), part.real(part.high)) for part in others]
    possible = integers(*(sum(end) for end in zip(*ends, strict=True)), len(tables))
    stays = possible
    if limits is not None:
        seen = integers(*limits, len(parts))
        stays = np.maximum(possible[0], seen[0]), np.minimum(possible[1], seen[1])
    sure = all(part.is_proven for pair in pairs for part in pair)
    result = parts[0]
    for place, part in enumerate(parts[1:], start=2):
        last = place == len(parts)
        result = result.joined(
            ctx, part, limits=stays if last else None, proven=possible if last and sure else None
        )
    return attrs.evolve(result, scale=np.broadcast_to(step, offset.shape), offset=offset)


def _corners(x: OnGrid, y: OnGrid) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest product: a function linear in each operand has them at its corners."""
    corners = [x.real(p) * y.real(q) for p in (x.low, x.high) for q in (y.low, y.high)]
    return np.minimum.reduce(corners), np.maximum.reduce(corners)


def _tables(ctx: LoweringContext, x: OnGrid, y: OnGrid, step: float | np.ndarray) -> list[OnGrid]:
    size, sign = np.sqrt(np.abs(x.scale * y.scale)), np.sign(x.scale * y.scale)
    found = []
    for side in (1, -1):
        both = x.joined(ctx, y, side, packed=True)
        zero = x.offset / x.scale + side * y.offset / y.scale
        centred = EncryptedTensor.on_grid(both.register, size, size * zero, np.float64)
        square = elementwise(ctx, lambda v, s: s * np.square(v) / 4, centred, side * sign)
        reach = [np.square(size * (q + zero)) / 4 for q in (both.low, both.high)]
        reach = side * sign * np.maximum(*reach) / step
        low = np.floor(np.minimum(reach, 0.0).min(initial=0.0))
        levels = int(np.ceil(np.maximum(reach, 0.0).max(initial=0.0)) - low) + 1
        register = lookup(ctx, square, Grid(step, low * step, levels)).register
        steps = np.broadcast_to(step, x.scale.shape)
        bounds = register.bounds
        found.append(OnGrid(register, steps, low * steps, bounds.low, bounds.high))
    return found
