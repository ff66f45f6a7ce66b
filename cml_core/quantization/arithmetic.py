"""Arithmetic between encrypted operands that are on different registers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np

from cml_core.program.cost import lookup_complexity
from cml_core.program.instructions import Opcode, bit_width
from cml_core.program.ranges import Bounds
from cml_core.quantization.builder import Register
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.elementwise import elementwise
from cml_core.quantization.encrypted import EncryptedTensor
from cml_core.quantization.grid import (
    AffineView,
    Grid,
    affine,
    affine_parameters,
    choose_grid,
    lookup,
    requantize,
)

__all__ = ["add", "maximum", "minimum", "multiply", "of_difference", "subtract"]

#: Error that matching two scales by whole multipliers may cost, in steps of the result.
_MISMATCH = 0.25
#: Most that an operand may be multiplied by to make it fit the other's scale better.
_MULTIPLIERS = 8
#: Widest sum, in bits, that is worth saving a lookup for.
_WIDEST = 16


@attrs.frozen(slots=True, eq=False)
class _Common:
    """Two operands on one scale: `a = scale * left + a_offset`, and b likewise with `right`."""

    left: Register
    right: Register
    scale: np.ndarray
    a_offset: np.ndarray
    b_offset: np.ndarray


def add(ctx: LoweringContext, a: Any, b: Any) -> EncryptedTensor:
    """Add two tensors; with a lookup only where their scales have no common measure."""
    return elementwise(ctx, np.add, a, b, combine=_add)


def subtract(ctx: LoweringContext, a: Any, b: Any) -> EncryptedTensor:
    """Subtract two tensors; with a lookup only where their scales have no common measure."""
    return elementwise(ctx, np.subtract, a, b, combine=_subtract)


def multiply(ctx: LoweringContext, a: Any, b: Any) -> EncryptedTensor:
    """Multiply two tensors: by two lookups of squares, or packed in one, whichever is cheaper."""
    return elementwise(ctx, np.multiply, a, b, combine=_multiply)


def of_difference(
    ctx: LoweringContext, function: Callable[[Any], Any], a: Any, b: Any
) -> EncryptedTensor:
    """Apply an elementwise function to `a - b`: comparisons, absolute distances and the like.

    The difference is taken in float64, whatever the operands' dtype.
    """

    def difference(x: Any, y: Any) -> Any:
        return np.subtract(x, y, dtype=np.float64)

    return elementwise(ctx, function, elementwise(ctx, difference, a, b, combine=_subtract))


def maximum(ctx: LoweringContext, a: Any, b: Any) -> EncryptedTensor:
    """The larger of two tensors: `b + max(a - b, 0)`, one lookup per element."""
    return elementwise(ctx, np.maximum, a, b, combine=_maximum)


def minimum(ctx: LoweringContext, a: Any, b: Any) -> EncryptedTensor:
    """The smaller of two tensors: `b + min(a - b, 0)`, one lookup per element."""
    return elementwise(ctx, np.minimum, a, b, combine=_minimum)


def _add(ctx: LoweringContext, a: EncryptedTensor, b: EncryptedTensor) -> EncryptedTensor:
    both = _common(ctx, a, b)
    register = ctx.builder.emit(Opcode.ADD, [both.left, both.right])
    return EncryptedTensor.on_grid(register, both.scale, both.a_offset + both.b_offset, a.dtype)


def _subtract(ctx: LoweringContext, a: EncryptedTensor, b: EncryptedTensor) -> EncryptedTensor:
    return _difference(ctx, _common(ctx, a, b), a.dtype)


def _difference(ctx: LoweringContext, both: _Common, dtype: Any) -> EncryptedTensor:
    register = ctx.builder.emit(Opcode.SUBTRACT, [both.left, both.right])
    return EncryptedTensor.on_grid(register, both.scale, both.a_offset - both.b_offset, dtype)


def _maximum(ctx: LoweringContext, a: EncryptedTensor, b: EncryptedTensor) -> EncryptedTensor:
    # Nothing below the higher of the two lowest values is ever the maximum.
    floor = max(ctx.value_range(t)[0] for t in (a, b))
    a, b = (_bounded(ctx, t, floor, np.inf) for t in (a, b))
    return _pick(ctx, a, b, lambda d: np.maximum(d, 0))


def _minimum(ctx: LoweringContext, a: EncryptedTensor, b: EncryptedTensor) -> EncryptedTensor:
    ceiling = min(ctx.value_range(t)[1] for t in (a, b))
    a, b = (_bounded(ctx, t, -np.inf, ceiling) for t in (a, b))
    return _pick(ctx, a, b, lambda d: np.minimum(d, 0))


def _bounded(
    ctx: LoweringContext, tensor: EncryptedTensor, low: float, high: float
) -> EncryptedTensor:
    """Clip a tensor that will be looked up anyway, so that its grid need not reach as far."""
    known = ctx.value_range(tensor)
    if (known[0] >= low and known[1] <= high) or affine_parameters(tensor) is not None:
        return tensor
    return elementwise(ctx, lambda v: np.clip(v, low, high), tensor)


def _pick(
    ctx: LoweringContext, a: EncryptedTensor, b: EncryptedTensor, part: Callable[[Any], Any]
) -> EncryptedTensor:
    """`b + part(a - b)`, where part gives the difference or zero; exact on the common scale."""
    both = _common(ctx, a, b)
    chosen = elementwise(ctx, part, _difference(ctx, both, a.dtype))
    reach = _hull(chosen, both.scale)
    extra = lookup(ctx, chosen, Grid(both.scale, both.scale * reach[0], reach[1] - reach[0] + 1))
    bounds = None
    if ctx.builder.instruction(extra.register).attributes["shift"] == 0:
        # The difference was not rounded, so the result is one of the operands.
        gap = np.rint((both.a_offset - both.b_offset) / both.scale).astype(np.int64)
        left, right = both.left.bounds, both.right.bounds
        bounds = Bounds(
            np.minimum(left.low + gap, right.low) - reach[0],
            np.maximum(left.high + gap, right.high) - reach[0],
        )
    register = ctx.builder.emit(Opcode.ADD, [extra.register, both.right], bounds=bounds)
    offset = both.scale * reach[0] + both.b_offset
    return EncryptedTensor.on_grid(register, both.scale, offset, a.dtype)


def _hull(tensor: EncryptedTensor, scale: np.ndarray) -> tuple[int, int]:
    """Lowest and highest multiple of `scale` that a tensor takes on its interval."""
    interval = tensor.register.interval
    ends = np.array([interval.low, interval.high, min(max(0, interval.low), interval.high)])
    where = (..., np.newaxis)
    values = (
        tensor.decode(ends, tensor.channel[where]) / np.broadcast_to(scale, tensor.shape)[where]
    )
    return int(np.floor(values.min())), int(np.ceil(values.max()))


def _common(ctx: LoweringContext, a: EncryptedTensor, b: EncryptedTensor) -> _Common:
    """Bring two operands onto one scale, with as few lookups as possible.

    Two grids whose steps are nearly whole multiples of a common one need only be multiplied by
    clear integers, which is free. An operand that is on no grid is looked up on the one that any
    other consumer of it would ask for, so that the lookup is shared; only if that does not fit
    does it get a grid of its own.
    """
    bits = ctx.bits.activation_bits or 4
    own = [_view(t) for t in (a, b)]
    before = len(ctx.builder)
    shared = [
        view or _view(requantize(ctx, t, bits=bits)) for view, t in zip(own, (a, b), strict=True)
    ]
    left, right = shared
    assert left is not None and right is not None  # a lookup's own result is on its grid
    if any(own) or len(ctx.builder) == before:
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


def _view(tensor: EncryptedTensor) -> AffineView | None:
    parameters = affine_parameters(tensor)
    if parameters is None:
        return None
    scale, offset = parameters
    return AffineView(tensor.register, scale[tensor.channel], offset[tensor.channel])


def _swapped(both: _Common) -> _Common:
    return _Common(both.right, both.left, both.scale, both.b_offset, both.a_offset)


def _span(view: AffineView) -> np.ndarray:
    """Range of real values that each element of a grid covers."""
    interval = view.register.interval
    span: np.ndarray = np.abs(view.scale) * (interval.high - interval.low)
    return span


def _multiplied(ctx: LoweringContext, a: AffineView, b: AffineView, bits: int) -> _Common | None:
    """Match two scales by clear integer factors, if that is accurate and narrow enough.

    Of the common steps that keep the error within `_MISMATCH` of a step of the result, the one
    that gives the narrowest sum is taken.
    """
    step = float(np.max(_span(a) + _span(b), initial=0.0)) / (2**bits - 1)
    sizes = np.stack([np.abs(a.scale), np.abs(b.scale)])
    finest = np.where(sizes > 0, sizes, np.inf).min(axis=0)
    finest = np.where(np.isfinite(finest), finest, 1.0)
    coarsest = np.where(sizes.max(axis=0) > 0, sizes.max(axis=0), 1.0)
    best: tuple[int, np.ndarray, tuple[np.ndarray, np.ndarray]] | None = None
    for base in (coarsest, finest):
        for multiplier in range(1, _MULTIPLIERS + 1):
            scale = base / multiplier
            factors = np.rint(a.scale / scale), np.rint(b.scale / scale)
            pairs = list(zip(factors, (a, b), strict=True))
            error = sum(np.abs(f * scale - v.scale) * _reach(v.register) for f, v in pairs)
            if np.max(error, initial=0.0) > _MISMATCH * step:
                continue
            sums = sum(np.abs(f) * _reach(v.register) for f, v in pairs)
            width = bit_width(0, int(np.max(sums, initial=0.0)))
            if best is None or width < best[0]:
                best = width, scale, factors
    if best is None or best[0] > _WIDEST:
        return None
    _, scale, factors = best
    left, right = (_times(ctx, v.register, f) for f, v in zip(factors, (a, b), strict=True))
    return _Common(left, right, scale, a.offset, b.offset)


def _reach(register: Register) -> int:
    return max(abs(register.interval.low), abs(register.interval.high))


def _times(ctx: LoweringContext, register: Register, factor: np.ndarray) -> Register:
    factor = np.broadcast_to(factor, register.shape).astype(np.int64)
    if (factor == 1).all():
        return register
    return ctx.builder.emit(Opcode.MULTIPLY, [register], constants={"operand": factor})


def _requantize_second(
    ctx: LoweringContext, fixed: AffineView, other: EncryptedTensor, bits: int
) -> _Common | None:
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
    left = _times(ctx, fixed.register, factor)
    right = _times(ctx, register, multiple)
    return _Common(left, right, np.broadcast_to(scale, other.shape), fixed.offset, start)


def _requantize_both(
    ctx: LoweringContext, a: EncryptedTensor, b: EncryptedTensor, bits: int
) -> _Common:
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
    return _Common(left, right, np.full(a.shape, step), *offsets)


def _varying(ctx: LoweringContext, view: AffineView) -> AffineView:
    """Give elements that are constant (of scale zero) a scale: integer 0, offset one step."""
    constant = view.scale == 0
    if not constant.any():
        return view
    register = _times(ctx, view.register, np.where(constant, 0, 1))
    size = np.where(view.offset != 0, np.abs(view.offset), 1.0)
    return AffineView(register, np.where(constant, size, view.scale), view.offset)


def _multiply(ctx: LoweringContext, a: EncryptedTensor, b: EncryptedTensor) -> EncryptedTensor:
    """Multiply by `xy = (x + y)^2 / 4 - (x - y)^2 / 4`, or packed if the operands are narrow.

    With integers x and y, both squares leave the same remainder modulo 4, so their rounded
    quarters differ by xy exactly.
    """
    views = [affine(ctx, t) for t in (a, b)]
    widths = [view.register.interval.width for view in views]
    sum_width = max(widths) + 1
    if lookup_complexity(sum(widths)) <= 2 * lookup_complexity(sum_width):
        return elementwise(
            ctx,
            np.multiply,
            *(EncryptedTensor.on_grid(v.register, v.scale, v.offset, a.dtype) for v in views),
        )
    limit = ctx.bits.activation_bits or 4
    if max(widths) > limit + 1:
        views = [
            affine(ctx, lookup(ctx, t, choose_grid(ctx, t, limit))) if w > limit + 1 else v
            for t, v, w in zip((a, b), views, widths, strict=True)
        ]
    x, y = (_varying(ctx, view) for view in views)
    x_zero, y_zero = (-view.offset / view.scale for view in (x, y))
    plus = ctx.builder.emit(Opcode.ADD, [x.register, y.register])
    minus = ctx.builder.emit(Opcode.SUBTRACT, [x.register, y.register])
    squares = []
    for register, zero in ((plus, x_zero + y_zero), (minus, x_zero - y_zero)):
        centred = EncryptedTensor.on_grid(register, 1.0, -zero, np.float64)
        quarter = elementwise(ctx, lambda v: np.square(v) / 4, centred)
        interval = register.interval
        ends = [np.abs(e - zero).max(initial=0.0) for e in (interval.low, interval.high)]
        levels = int(np.ceil(max(ends) ** 2 / 4)) + 1
        squares.append(lookup(ctx, quarter, Grid(1.0, 0.0, levels)))
    product = ctx.builder.emit(Opcode.SUBTRACT, [s.register for s in squares])
    return EncryptedTensor.on_grid(product, x.scale * y.scale, 0.0, a.dtype)
