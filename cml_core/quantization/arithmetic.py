"""Arithmetic between encrypted operands that are on different registers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np

from cml_core.program.cost import lookup_complexity
from cml_core.program.instructions import Opcode
from cml_core.program.ranges import Bounds
from cml_core.quantization.affine import AffineView, affine_parameters
from cml_core.quantization.codes import Grid
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.elementwise import elementwise
from cml_core.quantization.encrypted import EncryptedTensor
from cml_core.quantization.grid import affine, choose_grid
from cml_core.quantization.lookup import lookup
from cml_core.quantization.scales import CommonScale, common_scale, times

__all__ = ["add", "maximum", "minimum", "multiply", "of_difference", "subtract"]


def add(ctx: LoweringContext, a: Any, b: Any) -> EncryptedTensor:
    """Add two tensors; with a lookup only where their scales have no common measure.

    Parameters
    ----------
    ctx : LoweringContext
        The context of the node.
    a, b : EncryptedTensor or array
        Operands whose shapes broadcast by NumPy's rule; at least one is encrypted.
    """
    return elementwise(ctx, np.add, a, b, combine=_add)


def subtract(ctx: LoweringContext, a: Any, b: Any) -> EncryptedTensor:
    """Subtract two tensors; with a lookup only where their scales have no common measure.

    Its parameters are those of `add`.
    """
    return elementwise(ctx, np.subtract, a, b, combine=_subtract)


def multiply(ctx: LoweringContext, a: Any, b: Any) -> EncryptedTensor:
    """Multiply two tensors: by two lookups of squares, or packed in one, whichever is cheaper.

    By squares, `a b = ((a + b)^2 - (a - b)^2) / 4`. A product with a clear array costs nothing.

    Its parameters are those of `add`.
    """
    return elementwise(ctx, np.multiply, a, b, combine=_multiply)


def of_difference(
    ctx: LoweringContext, function: Callable[[Any], Any], a: Any, b: Any
) -> EncryptedTensor:
    """Apply an elementwise function to `a - b`: comparisons, absolute distances and the like.

    The difference is taken in float64, whatever the operands' dtype.

    Parameters
    ----------
    function : callable
        A NumPy function of one array, element by element.
    ctx, a, b
        As of `add`.
    """

    def difference(x: Any, y: Any) -> Any:
        return np.subtract(x, y, dtype=np.float64)

    return elementwise(ctx, function, elementwise(ctx, difference, a, b, combine=_subtract))


def maximum(ctx: LoweringContext, a: Any, b: Any) -> EncryptedTensor:
    """The larger of two tensors: `b + max(a - b, 0)`, one lookup per element.

    Its parameters are those of `add`.
    """
    return elementwise(ctx, np.maximum, a, b, combine=_maximum)


def minimum(ctx: LoweringContext, a: Any, b: Any) -> EncryptedTensor:
    """The smaller of two tensors: `b + min(a - b, 0)`, one lookup per element.

    Its parameters are those of `add`.
    """
    return elementwise(ctx, np.minimum, a, b, combine=_minimum)


def _add(ctx: LoweringContext, a: EncryptedTensor, b: EncryptedTensor) -> EncryptedTensor:
    both = common_scale(ctx, a, b)
    register = ctx.builder.emit(Opcode.ADD, [both.left, both.right])
    return EncryptedTensor.on_grid(register, both.scale, both.a_offset + both.b_offset, a.dtype)


def _subtract(ctx: LoweringContext, a: EncryptedTensor, b: EncryptedTensor) -> EncryptedTensor:
    return _difference(ctx, common_scale(ctx, a, b), a.dtype)


def _difference(ctx: LoweringContext, both: CommonScale, dtype: Any) -> EncryptedTensor:
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
    # A difference needs a bit more than its operands to be as fine as they are.
    ctx = attrs.evolve(ctx, finer=ctx.finer + 1)
    both = common_scale(ctx, a, b)
    chosen = elementwise(ctx, part, _difference(ctx, both, a.dtype))
    reach = _hull(chosen, both.scale)
    extra = lookup(ctx, chosen, Grid(both.scale, both.scale * reach[0], reach[1] - reach[0] + 1))
    bounds = None
    if ctx.builder.instruction(extra.register).attributes.get("shift") == 0:
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


def _varying(ctx: LoweringContext, view: AffineView) -> AffineView:
    """Give elements that are constant (of scale zero) a scale: integer 0, offset one step."""
    constant = view.scale == 0
    if not constant.any():
        return view
    register = times(ctx, view.register, np.where(constant, 0, 1))
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
            affine(ctx, lookup(ctx, t, choose_grid(ctx, t, limit)))
            if w > limit + 1 and t.decode.grid is None
            else v
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
