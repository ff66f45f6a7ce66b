"""The product of two encrypted matrices.

With the triangular numbers T(u) = u (u + 1) / 2 a product is `xy = T(x + y) - T(x) - T(y)`, for
whole numbers and for any others. Summed over the inner axis, T(x) and T(y) are looked up once for
each element of the operands, and only T(x + y) for each term, one bit wider than the operands.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import numpy as np

from cml_core.program.cost import lookup_complexity
from cml_core.program.instructions import Interval, Opcode, bit_width
from cml_core.program.ranges import Bounds
from cml_core.quantization.affine import AffineView, affine_parameters, affine_view, channel_bounds
from cml_core.quantization.arithmetic import multiply
from cml_core.quantization.builder import Register
from cml_core.quantization.codes import Grid
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.elementwise import elementwise
from cml_core.quantization.encrypted import EncryptedTensor
from cml_core.quantization.grid import affine, requantize
from cml_core.quantization.lookup import lookup
from cml_core.quantization.movement import broadcast_to, move, reshape
from cml_core.quantization.scales import times

__all__ = ["matmul_encrypted"]

#: Root mean square of the operands' integers up to which tables hold whole numbers. For larger
#: integers they hold multiples of a larger step, whose error is far below that of the integers.
_FINE = 16.0
#: Largest integer that stands for a row whose elements never vary, but for a common scale.
_CONSTANT = 8.0
#: Largest integer that such an element may be on the scale of other rows.
_LARGE = 64.0
#: How far from a whole number an integer may be that counts as one.
_WHOLE = 1e-6


@attrs.frozen(slots=True, eq=False)
class _Factor:
    """A factor as `scale * units`, its scale the same along the inner axis, which has size 1."""

    units: EncryptedTensor
    scale: np.ndarray

    @property
    def span(self) -> int:
        """How far apart the integers of any element are at most."""
        low, high = channel_bounds(self.units)
        return int((high - low).max(initial=0))


def matmul_encrypted(
    ctx: LoweringContext,
    a: EncryptedTensor,
    b: EncryptedTensor,
    *,
    terms: np.ndarray | None = None,
) -> EncryptedTensor | np.ndarray:
    """Multiply two encrypted matrices, or stacks of them: `a @ b`.

    For (M, K) times (K, N) it takes M K + K N lookups at the width w of the operands and M K N of
    w + 1 bits. If that is cheaper, as it is for vectors, each term is a product of its own: one
    lookup of 2 w bits, or two of w + 1. Operands that are wider than the node's activation width
    are requantized first.

    The result is exactly the product of the dequantized operands if their zero points are whole
    numbers and their integers not above `_FINE`; otherwise each table entry is off by half a
    step at most.

    Parameters
    ----------
    ctx : LoweringContext
        The node being lowered.
    a : EncryptedTensor of shape (..., M, K)
        Left factor.
    b : EncryptedTensor of shape (..., K, N)
        Right factor; leading axes broadcast by NumPy's rule.
    terms : bool array that broadcasts to (..., M, K, N), optional
        Which terms are wanted; the others count as zero and cost nothing. By default all.

    Returns
    -------
    EncryptedTensor of shape (..., M, N)
        The product, on a grid; a clear array of zeros if nothing is multiplied.
    """
    dtype = np.result_type(a.dtype, b.dtype)
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    shape = (*stack, a.shape[-2], *b.shape[-2:])
    wanted = np.broadcast_to(True if terms is None else terms, shape)
    if not wanted.any():
        return np.zeros((*shape[:-2], shape[-1]), dtype=dtype)
    left, right = _factor(ctx, a, -1), _factor(ctx, b, -2)
    widths = [bit_width(0, factor.span) for factor in (left, right)]
    summed = lookup_complexity(bit_width(0, left.span + right.span))
    once = a.register.size * lookup_complexity(widths[0])
    once += b.register.size * lookup_complexity(widths[1])
    alone = min(lookup_complexity(sum(widths)), 2 * summed)
    leading = [(1,) * (len(stack) + 2 - t.ndim) + t.shape[:-2] for t in (a, b)]
    x = reshape(ctx, left.units, (*leading[0], *a.shape[-2:], 1))
    y = reshape(ctx, right.units, (*leading[1], 1, *b.shape[-2:]))
    by = _by_triangles if int(wanted.sum()) * (alone - summed) > once else _term_by_term
    units, step, offset = by(ctx, x, y, wanted)
    scale = left.scale * right.scale
    return EncryptedTensor.on_grid(units, scale * step, scale * offset, dtype)


def _factor(ctx: LoweringContext, tensor: EncryptedTensor, inner: int) -> _Factor:
    """Bring a factor onto a grid of few enough values, on one scale along the inner axis."""
    limit = ctx.bits.activation_bits or ctx.config.activation_bits
    varying = tuple(axis for axis in range(tensor.ndim) if axis != tensor.ndim + inner)
    view = affine_view(tensor)
    if view is not None:
        # What never varies can be written with any scale, once its integer is zero.
        low, high = view.register.bounds.low, view.register.bounds.high
        constant = (view.scale == 0) | (low == high)
        register = times(ctx, view.register, np.where(constant, 0, 1))
        offset = view.offset + np.where(constant, view.scale * low, 0.0)
        scale = np.where(constant, 0.0, view.scale)
        if constant.any():
            moved = EncryptedTensor.on_grid(register, scale, offset, tensor.dtype)
            tensor = moved.named(tensor.name, tensor.node)
    view = affine(ctx, tensor, bits=limit, varying=varying)
    bounds, interval = view.register.bounds, view.register.interval
    low, high = (np.clip(end, interval.low, interval.high) for end in (bounds.low, bounds.high))
    if bit_width(0, int((high - low).max())) > limit:
        view = affine(ctx, requantize(ctx, tensor, bits=limit), varying=varying)
    scale = _never_zero(view, inner)
    # The table of a square that were rounded would be worth nothing.
    register = attrs.evolve(view.register, packed=True)
    units = EncryptedTensor.on_grid(register, 1.0, view.offset / scale, np.float64)
    return _Factor(units, scale.max(axis=inner, keepdims=True))


def _never_zero(view: AffineView, inner: int) -> np.ndarray:
    """Scales of which those of rows (or columns) that never vary are chosen here.

    The largest scale of the others suits what follows, if it makes whole numbers of them.
    """
    largest = np.abs(view.offset).max(axis=inner, keepdims=True)
    own = np.where(largest > 0, largest / _CONSTANT, 1.0)
    shared = float(np.abs(view.scale).max()) or 1.0
    steps = view.offset / shared
    whole = (np.abs(steps - np.rint(steps)) < _WHOLE).all(axis=inner, keepdims=True)
    common = np.where(whole & (largest <= _LARGE * shared), shared, own)
    scale: np.ndarray = np.where(view.scale == 0, common, view.scale)
    return scale


Sums = tuple[Register, float, np.ndarray]
"""A register r, and step s and offset o with which s r + o is the sum of products."""


def _by_triangles(
    ctx: LoweringContext, x: EncryptedTensor, y: EncryptedTensor, wanted: np.ndarray
) -> Sums:
    """Sum T(x + y) - T(x) - T(y) over wanted terms along the inner axis, the last but one."""
    size = math.sqrt(float(np.mean([np.square(t.values()).mean() for t in (x, y)])))
    step = max(1.0, math.floor(size / _FINE))
    plus = _plus(ctx, *(_chosen(ctx, t, wanted) for t in (x, y)))
    (of_sum, start), *others = (_triangles(ctx, t, step) for t in (plus, x, y))
    total = _summed(ctx, of_sum, wanted)
    depth = wanted.sum(axis=-2)
    offset = start * depth
    for place, (table, lowest) in enumerate(others):
        part = _summed(ctx, table, wanted)
        offset = offset - lowest * depth
        # The bounds of a difference of squares say nothing of the product.
        bounds = _bounds(x, y, step, offset, wanted) if place else None
        total = ctx.builder.emit(Opcode.SUBTRACT, [total, part], bounds=bounds)
    return total, step, offset


def _chosen(ctx: LoweringContext, tensor: EncryptedTensor, wanted: np.ndarray) -> EncryptedTensor:
    """Repeat a factor for every term, or list what wanted terms take of it."""
    if wanted.all():
        return broadcast_to(ctx, tensor, wanted.shape)
    return _moved(ctx, lambda a: np.broadcast_to(a, wanted.shape)[wanted], tensor)


def _summed(ctx: LoweringContext, tensor: EncryptedTensor, wanted: np.ndarray) -> Register:
    """Sum the integers of wanted terms along the inner axis.

    `tensor` has one element for each wanted term, or the axes of terms.
    """
    register = tensor.register
    if tensor.ndim < wanted.ndim:

        def placed(numbers: np.ndarray) -> np.ndarray:
            whole = np.zeros(wanted.shape, dtype=numbers.dtype)
            whole[wanted] = numbers
            return whole

        register = _moved(ctx, placed, tensor).register
    elif not wanted.all():
        whole = broadcast_to(ctx, tensor, wanted.shape).register
        register = times(ctx, whole, wanted.astype(np.int64))
    axes = {"axes": (wanted.ndim - 2,), "keepdims": False}
    total = ctx.builder.emit(Opcode.SUM, [register], axes)
    result = EncryptedTensor.on_grid(total, 1.0, 0.0, np.float64)
    return broadcast_to(ctx, result, (*wanted.shape[:-2], wanted.shape[-1])).register


def _moved(
    ctx: LoweringContext, function: Callable[[np.ndarray], np.ndarray], tensor: EncryptedTensor
) -> EncryptedTensor:
    (result,) = move(ctx, function, [tensor])
    assert isinstance(result, EncryptedTensor)
    return result


def _plus(ctx: LoweringContext, x: EncryptedTensor, y: EncryptedTensor) -> EncryptedTensor:
    """Add two tensors in such a way that no low bit is rounded away and no sum is too large.

    An error in one of the squares would be far larger than the same error in the product.
    """
    low, high = (
        sum(int(getattr(t.register.interval, end)) for t in (x, y)) for end in ("low", "high")
    )
    register = ctx.builder.emit(
        Opcode.ADD, [x.register, y.register], interval=Interval(low, high), packed=True
    )
    offset = _offset(x) + _offset(y)
    return EncryptedTensor.on_grid(register, 1.0, offset, np.float64)


def _offset(tensor: EncryptedTensor) -> np.ndarray:
    offset: np.ndarray = tensor.decode(np.zeros((), dtype=np.int64), tensor.channel)
    return offset


def _ends(tensor: EncryptedTensor) -> tuple[np.ndarray, np.ndarray]:
    bounds, interval = tensor.register.bounds, tensor.register.interval
    low, high = (np.clip(end, interval.low, interval.high) for end in (bounds.low, bounds.high))
    return tensor.decode(low, tensor.channel), tensor.decode(high, tensor.channel)


def _triangles(
    ctx: LoweringContext, tensor: EncryptedTensor, step: float
) -> tuple[EncryptedTensor, float]:
    """Look up T(u) in multiples of a step; return the integers and what their zero stands for."""
    low, high = _ends(tensor)
    largest = max(_triangle(low).max(), _triangle(high).max())
    smallest = min(_triangle(low).min(), _triangle(high).min())
    if (low * high < 0).any():
        smallest = min(smallest, 0.0)
    start = step * math.floor(smallest / step)
    grid = Grid(step, start, math.ceil((largest - start) / step) + 1)
    return lookup(ctx, elementwise(ctx, _triangle, tensor), grid), start


def _triangle(u: np.ndarray) -> np.ndarray:
    result: np.ndarray = u * (u + 1) / 2
    return result


def _bounds(
    x: EncryptedTensor, y: EncryptedTensor, step: float, offset: np.ndarray, wanted: np.ndarray
) -> Bounds:
    """What the sum of products, in steps, cannot leave, whatever its operands are."""
    corners = np.stack([p * q for p in _ends(x) for q in _ends(y)])
    whole = step == 1.0 and all((_offset(t) == np.rint(_offset(t))).all() for t in (x, y))
    # Each of three tables per term is off by half a step at most.
    slack = 0.0 if whole else 1.5 * wanted.sum(axis=-2)
    low = ((corners.min(axis=0) * wanted).sum(axis=-2) - offset) / step - slack
    high = ((corners.max(axis=0) * wanted).sum(axis=-2) - offset) / step + slack
    return Bounds(np.floor(low + 1e-6).astype(np.int64), np.ceil(high - 1e-6).astype(np.int64))


def _term_by_term(
    ctx: LoweringContext, x: EncryptedTensor, y: EncryptedTensor, wanted: np.ndarray
) -> Sums:
    """Multiply every wanted term on its own and sum."""
    product = multiply(ctx, *(_chosen(ctx, t, wanted) for t in (x, y)))
    parameters = affine_parameters(product)
    if parameters is None or not np.allclose(parameters[0], 1.0):
        corners = np.stack([p * q for p in _ends(x) for q in _ends(y)])
        low, high = math.floor(corners.min()), math.ceil(corners.max())
        product = lookup(ctx, product, Grid(1.0, low, high - low + 1))
    offset = _offset(product).max() * wanted.sum(axis=-2)
    return _summed(ctx, product, wanted), 1.0, offset
