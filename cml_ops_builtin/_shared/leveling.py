"""One scale for elements that are added to each other, and other bits for a few lookups."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

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
    subtract,
    sum_,
)

__all__ = [
    "bits_of",
    "centred",
    "finer",
    "on_one_scale",
    "on_steps",
    "roomier",
    "rounding_to",
    "step_of",
    "unhurried",
]

#: Most whole steps that the smallest scale is divided into.
_FINEST = 24
#: Error that whole multiples may cost, in steps of the activation width.
_MISMATCH = 0.25
#: Widest integers for which a lookup is saved, if sums of many of them are looked up again.
_WIDEST = 10
#: Elements from which on a mean is rounded, by one lookup, where each further bit costs something.
_MANY = 8
#: How many times the usual margin is added to ranges of sums of squares or exponentials.
_ROOM = 4


def bits_of(ctx: LoweringContext) -> int:
    """Activation width in force at a node."""
    return ctx.bits.activation_bits or ctx.config.activation_bits


def unhurried(ctx: LoweringContext) -> LoweringContext:
    """Let wide integers be, as nothing here is multiplied by weights."""
    return attrs.evolve(ctx, feeds_lookup=False)


def rounding_to(ctx: LoweringContext, extra: int) -> LoweringContext:
    """Keep more bits before a lookup: for the few values that many others depend on."""
    own = ctx.bits
    if own.rounding_bits is None or extra <= 0:
        return ctx
    finer = attrs.evolve(own, rounding_bits=min(own.rounding_bits + extra, 16))
    nodes = {**ctx.config.nodes, ctx.bound.name: finer}
    return attrs.evolve(ctx, config=attrs.evolve(ctx.config, nodes=nodes))


@contextlib.contextmanager
def roomier(ctx: LoweringContext) -> Iterator[None]:
    """Give what is emitted meanwhile several times the margin beyond calibrated ranges.

    Sums of squares or exponentials reach further beyond what calibration has seen than what is
    squared does. There are few of them, so a wider lookup costs little.
    """
    before = ctx.builder.margin
    ctx.builder.margin = _ROOM * before
    try:
        yield
    finally:
        ctx.builder.margin = before


def on_one_scale(
    ctx: LoweringContext, x: EncryptedTensor, axes: Sequence[int], *, widest: int = _WIDEST
) -> EncryptedTensor:
    """Bring a tensor onto a grid whose scale is the same along some axes.

    Scales that differ, as those of a layer's channels do, are made multiples of a common one by
    clear integers. That makes the integers wider; where it makes them wider than `widest` bits,
    or where x is on no grid, each element takes a lookup.
    """
    axes = tuple(axis % x.ndim for axis in axes)
    kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
    ctx = unhurried(ctx)
    view = affine(ctx, x)
    if x.register.size == 0:
        return EncryptedTensor.on_grid(view.register, view.scale, view.offset, x.dtype)
    bounds, interval = view.register.bounds, view.register.interval
    low, high = (np.clip(end, interval.low, interval.high) for end in (bounds.low, bounds.high))
    # An integer that never changes is zero times any scale.
    scale = np.where(low == high, 0.0, view.scale)
    size = np.abs(scale)
    smallest = np.where(size > 0, size, np.inf).min(axis=axes, keepdims=True)
    smallest = np.where(np.isfinite(smallest), smallest, 1.0)
    allowed = _MISMATCH * (size * (high - low)).max() / (2.0 ** bits_of(ctx) - 1)
    for divisor in range(1, _FINEST + 1):
        base = smallest / divisor
        factor = np.rint(scale / base)
        # The multiple is right in the middle of the range, so its error is that of half of it.
        error = np.abs(factor * base - scale) * (high - low) / 2
        if error.max() <= allowed:
            break
    else:
        return _requantized(ctx, x, kept)
    if float((np.abs(factor) * (high - low)).max()) >= 2.0**widest:
        return _requantized(ctx, x, kept)
    offset = view.offset + (view.scale - factor * base) * (low + high) / 2
    register = view.register
    if (factor != 1).any():
        register = ctx.builder.emit(
            Opcode.MULTIPLY, [register], constants={"operand": factor.astype(np.int64)}
        )
    result = EncryptedTensor.on_grid(register, np.broadcast_to(base, x.shape), offset, x.dtype)
    return result.named("", x.node)


def _requantized(ctx, x, kept):
    view = affine(ctx, requantize(ctx, x, bits=bits_of(ctx) + 1), varying=kept)
    return EncryptedTensor.on_grid(view.register, view.scale, view.offset, x.dtype)


def centred(
    ctx: LoweringContext, x: EncryptedTensor, axes: Sequence[int]
) -> tuple[EncryptedTensor, EncryptedTensor]:
    """Return `x - mean` and the mean along some axes, kept with size 1.

    x is on one scale along these axes. With n elements, `n x - sum(x)` are whole numbers and no
    lookup is needed. Where rounding is exact, and so paid for bit by bit, the mean of many
    elements is brought to half a step of x by one lookup.
    """
    count = math.prod(x.shape[axis] for axis in axes)
    total = sum_(ctx, x, axes, keepdims=True)
    mean = elementwise(ctx, lambda value: value / np.asarray(count, dtype=value.dtype), total)
    near = mean
    if count >= _MANY and ctx.bits.rounding_bits and ctx.bits.rounding == "exact":
        x = finer(ctx, x)
        near = on_steps(rounding_to(ctx, 1), mean, step_of(x) / 2)
    return subtract(ctx, x, near), mean


def finer(ctx: LoweringContext, x: EncryptedTensor) -> EncryptedTensor:
    """Give what has few levels, as whole numbers and conditions have, finer steps for nothing.

    x is on a grid. What is brought to its steps, to be added to it or subtracted, would otherwise
    lose more than the width in force keeps.
    """
    low, high = ctx.value_range(x)
    levels = (high - low) / step_of(x) + 1
    if 2 * levels > 2 ** bits_of(ctx):
        return x
    factor = math.ceil(2 ** (bits_of(ctx) + 1) / levels)
    view = affine(ctx, x)
    operand = np.full(x.shape, factor, dtype=np.int64)
    register = ctx.builder.emit(Opcode.MULTIPLY, [view.register], constants={"operand": operand})
    return EncryptedTensor.on_grid(register, view.scale / factor, view.offset, x.dtype)


def step_of(x: EncryptedTensor) -> float:
    """Largest step of a tensor that is on a grid."""
    return float(np.abs(x.decode(1, x.channel) - x.decode(0, x.channel)).max(initial=0.0)) or 1.0


def on_steps(ctx: LoweringContext, x: EncryptedTensor, step: float) -> EncryptedTensor:
    """Look a tensor up on multiples of a step, with some room beyond the range that it has."""
    low, high = ctx.value_range(x)
    room = 0.25 * (high - low) + step
    start = step * math.floor((low - room) / step)
    return lookup(ctx, x, Grid(step, start, math.ceil((high + room - start) / step) + 1))
