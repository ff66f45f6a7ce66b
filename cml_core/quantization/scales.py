"""Two encrypted operands on one scale, with as few lookups as possible."""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.program.instructions import Opcode, bit_width
from cml_core.quantization.affine import AffineView, affine_view
from cml_core.quantization.builder import Register
from cml_core.quantization.codes import Grid
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.encrypted import EncryptedTensor
from cml_core.quantization.grid import requantize
from cml_core.quantization.lookup import lookup

__all__ = ["CommonScale", "common_scale", "times"]

#: Error that matching two scales by whole multipliers may cost, in steps of the result.
_MISMATCH = 0.25
#: Most that an operand may be multiplied by to make it fit the other's scale better.
_MULTIPLIERS = 8
#: The same where the model itself put an operand on a grid, so that its own rounding is hardly met.
_KEPT_MISMATCH, _KEPT_MULTIPLIERS = 1 / 32, 256
#: Widest sum, in bits, that is worth saving a lookup for.
_WIDEST = 16


@attrs.frozen(slots=True, eq=False)
class CommonScale:
    """Two operands on one scale: `a = scale * left + a_offset`, and b likewise with `right`."""

    left: Register
    right: Register
    scale: np.ndarray
    a_offset: np.ndarray
    b_offset: np.ndarray


def common_scale(ctx: LoweringContext, a: EncryptedTensor, b: EncryptedTensor) -> CommonScale:
    """Bring two operands onto one scale, with as few lookups as possible.

    Two grids whose steps are nearly whole multiples of a common one need only be multiplied by
    clear integers, which is free. An operand that is on no grid is looked up on the one that any
    other consumer of it would ask for, so that the lookup is shared; only if that does not fit
    does it get a grid of its own.
    """
    bits = ctx.bits.activation_bits or 4
    for grid in (a.decode.grid, b.decode.grid):
        bits = bits if grid is None else max(bits, bit_width(0, grid.levels - 1))
    own = [affine_view(t) for t in (a, b)]
    before = len(ctx.builder)
    shared = [
        view or affine_view(requantize(ctx, t, bits=bits))
        for view, t in zip(own, (a, b), strict=True)
    ]
    left, right = shared
    assert left is not None and right is not None  # a lookup's own result is on its grid
    kept = a.decode.grid is not None or b.decode.grid is not None
    common = None
    if kept:
        common = _multiplied(ctx, left, right, bits, _KEPT_MISMATCH, _KEPT_MULTIPLIERS)
    if common is None and (any(own) or kept or len(ctx.builder) == before):
        common = _multiplied(ctx, left, right, bits)
    if common is not None:
        return common
    if own[0] is None and own[1] is None:
        return _requantize_both(ctx, a, b, bits)
    # The finer of two grids stays, the other operand is requantized to it.
    keep_left = own[1] is None or (
        own[0] is not None and a.register.interval.width > b.register.interval.width
    )
    if keep_left:
        common = _requantize_second(ctx, left, b, bits)
    else:
        common = _requantize_second(ctx, right, a, bits)
        common = None if common is None else _swapped(common)
    return common or _requantize_both(ctx, a, b, bits)


def _swapped(both: CommonScale) -> CommonScale:
    return CommonScale(both.right, both.left, both.scale, both.b_offset, both.a_offset)


def _span(view: AffineView) -> np.ndarray:
    """Range of real values that each element of a grid covers."""
    interval = view.register.interval
    span: np.ndarray = np.abs(view.scale) * (interval.high - interval.low)
    return span


def _multiplied(
    ctx: LoweringContext,
    a: AffineView,
    b: AffineView,
    bits: int,
    mismatch: float = _MISMATCH,
    multipliers: int = _MULTIPLIERS,
) -> CommonScale | None:
    """Match two scales by clear integer factors, if that is accurate and narrow enough.

    Of the common steps that keep the error within `mismatch` of a step of the result, the one
    that gives the narrowest sum is taken.
    """
    step = float(np.max(_span(a) + _span(b), initial=0.0)) / (2**bits - 1)
    sizes = np.stack([np.abs(a.scale), np.abs(b.scale)])
    finest = np.where(sizes > 0, sizes, np.inf).min(axis=0)
    finest = np.where(np.isfinite(finest), finest, 1.0)
    coarsest = np.where(sizes.max(axis=0) > 0, sizes.max(axis=0), 1.0)
    best: tuple[int, np.ndarray, tuple[np.ndarray, np.ndarray]] | None = None
    for base in (coarsest, finest):
        for multiplier in range(1, multipliers + 1):
            scale = base / multiplier
            factors = np.rint(a.scale / scale), np.rint(b.scale / scale)
            pairs = list(zip(factors, (a, b), strict=True))
            error = sum(np.abs(f * scale - v.scale) * _reach(v.register) for f, v in pairs)
            if np.max(error, initial=0.0) > mismatch * step:
                continue
            sums = sum(np.abs(f) * _reach(v.register) for f, v in pairs)
            width = bit_width(0, int(np.max(sums, initial=0.0)))
            if best is None or width < best[0]:
                best = width, scale, factors
    if best is None or best[0] > _WIDEST:
        return None
    _, scale, factors = best
    left, right = (times(ctx, v.register, f) for f, v in zip(factors, (a, b), strict=True))
    return CommonScale(left, right, scale, a.offset, b.offset)


def _reach(register: Register) -> int:
    return max(abs(register.interval.low), abs(register.interval.high))


def times(ctx: LoweringContext, register: Register, factor: np.ndarray) -> Register:
    """Multiply a register by clear integers, if they are not all one."""
    factor = np.broadcast_to(factor, register.shape).astype(np.int64)
    if (factor == 1).all():
        return register
    return ctx.builder.emit(Opcode.MULTIPLY, [register], constants={"operand": factor})


def _requantize_second(
    ctx: LoweringContext, fixed: AffineView, other: EncryptedTensor, bits: int
) -> CommonScale | None:
    """Look the other operand up on a grid whose step is a multiple, or a part, of the first's.

    None if the sum would be wider than a lookup is worth.
    """
    low, high = ctx.value_range(other)
    span = max(high - low, 1e-30)
    size = np.abs(fixed.scale)
    smallest = np.where(size > 0, size, np.inf).min(initial=np.inf)
    size = np.where(size > 0, size, smallest if np.isfinite(smallest) else span / (2**bits - 1))
    multiple = np.maximum(1, np.rint(span / (2**bits - 1) / size))
    total = (float(np.max(_span(fixed), initial=0.0)) + span) / (2**bits - 1)
    divisor = np.where(size > total, np.ceil(size / total), 1.0)
    scale = np.where(multiple > 1, size, size / divisor)
    step = scale * multiple
    levels = int(np.ceil(span / step.min(initial=span))) + 1
    factor = np.rint(fixed.scale / scale)
    reach = np.abs(factor) * _reach(fixed.register) + multiple * levels
    if bit_width(0, int(reach.max(initial=0))) > _WIDEST:
        return None
    start = np.broadcast_to(step * np.rint(low / step), other.shape)
    register = lookup(ctx, other, Grid(step, start, levels)).register
    left = times(ctx, fixed.register, factor)
    right = times(ctx, register, multiple)
    return CommonScale(left, right, np.broadcast_to(scale, other.shape), fixed.offset, start)


def _requantize_both(
    ctx: LoweringContext, a: EncryptedTensor, b: EncryptedTensor, bits: int
) -> CommonScale:
    ranges = [ctx.value_range(t) for t in (a, b)]
    widest = max(high - low for low, high in ranges)
    step = widest / (2**bits - 1) if widest > 0 else 1.0
    registers, offsets = [], []
    for tensor, (low, high) in zip((a, b), ranges, strict=True):
        start = step * round(low / step)
        levels = max(1, round((high - start) / step) + 1)
        grid = Grid(step, start, levels)
        registers.append(lookup(ctx, tensor, grid).register)
        offsets.append(np.full(tensor.shape, start))
    left, right = registers
    return CommonScale(left, right, np.full(a.shape, step), *offsets)
