"""Affine grids: when an encrypted tensor already is on one, and the lookup when it is not.

Lookups are what costs under encryption, so they are emitted here and nowhere else.
"""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.errors import BitWidthError, WideLookup
from cml_core.program.instructions import Interval, Opcode, bit_width
from cml_core.quantization.builder import Register
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.encrypted import EncryptedTensor, group_rows

__all__ = [
    "AffineView",
    "Grid",
    "affine",
    "affine_parameters",
    "choose_grid",
    "lookup",
    "requantize",
]

#: How far from a straight line a decode may be, relative to its range, to count as affine.
_STRAIGHT = 1e-9
#: Most points at which a decode is examined. Beyond them, a deviation is below 16 bits of range.
_POINTS = 2**16 + 1
#: Widest integers that are multiplied by weights when a lookup follows; wider ones are requantized.
_WIDEST_FACTOR = 10
#: Widest lookup that is built at all; compilers draw their own line, at 16 bits.
_WIDEST = 20


@attrs.frozen(slots=True, eq=False)
class AffineView:
    """An encrypted tensor as `scale * q + offset`, both float64 arrays of the sample's shape."""

    register: Register
    scale: np.ndarray
    offset: np.ndarray


def _float64(value: float | np.ndarray) -> np.ndarray:
    return np.asarray(value, dtype=np.float64)


@attrs.frozen(slots=True, eq=False)
class Grid:
    """The real values `scale * q + offset` for q in `[0, levels)`.

    Parameters
    ----------
    scale, offset : float64 arrays that broadcast to a sample's shape
        Step and lowest value.
    levels : int
        Number of values.
    """

    scale: np.ndarray = attrs.field(converter=_float64)
    offset: np.ndarray = attrs.field(converter=_float64)
    levels: int


def _channel_bounds(tensor: EncryptedTensor) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest integer of each channel: proven bounds within the register's interval."""
    bounds, interval = tensor.register.bounds, tensor.register.interval
    low = np.clip(bounds.low, interval.low, interval.high)
    high = np.clip(bounds.high, interval.low, interval.high)
    return _pool(tensor, low, high)


def _pool(
    tensor: EncryptedTensor, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pool per-element bounds over the elements of each channel."""
    count = tensor.decode.channels
    lows = np.full(count, np.iinfo(np.int64).max)
    highs = np.full(count, np.iinfo(np.int64).min)
    channel = tensor.channel.reshape(-1)
    np.minimum.at(lows, channel, low.reshape(-1))
    np.maximum.at(highs, channel, high.reshape(-1))
    unused = lows > highs
    lows[unused] = highs[unused] = 0
    return lows, highs


def affine_parameters(tensor: EncryptedTensor) -> tuple[np.ndarray, np.ndarray] | None:
    """Scale and offset per channel if the decode is affine on the integers it can meet, else None.

    Whether it is affine is a question of its values, not of how it came about: Relu of integers
    that cannot be negative is, and so is any function of a boolean.
    """
    if tensor.register.size == 0:
        return np.ones(tensor.decode.channels), np.zeros(tensor.decode.channels)
    low, high = _channel_bounds(tensor)
    channel = np.arange(tensor.decode.channels)[:, np.newaxis]
    span = (high - low)[:, np.newaxis]
    ends = np.stack([low, high], axis=1)
    at_ends = tensor.decode(ends, channel).astype(np.float64)
    if not np.isfinite(at_ends).all():
        return None
    width = np.where(high > low, high - low, 1)
    scale = (at_ends[:, 1] - at_ends[:, 0]) / width
    offset = at_ends[:, 0] - scale * low
    longest = int(span.max()) + 1
    for points in (min(17, longest), min(_POINTS, longest)):
        steps = np.linspace(0.0, 1.0, points)
        block = max(1, 2**22 // points)
        for start in range(0, len(low), block):
            part = slice(start, start + block)
            q = low[part, np.newaxis] + np.rint(steps * span[part]).astype(np.int64)
            value = tensor.decode(q, channel[part]).astype(np.float64)
            line = scale[part, np.newaxis] * q + offset[part, np.newaxis]
            if not np.isfinite(value).all():
                return None
            largest = np.abs(value).max(axis=1, keepdims=True)
            if (np.abs(value - line) > _STRAIGHT * largest).any():
                return None
    return scale, offset


def affine(
    ctx: LoweringContext,
    tensor: EncryptedTensor,
    *,
    bits: int | None = None,
    varying: tuple[int, ...] | None = None,
) -> AffineView:
    """Return a tensor on an affine grid, requantized by a lookup only if it is not on one.

    Parameters
    ----------
    ctx : LoweringContext
        The node being lowered.
    tensor : EncryptedTensor
        What is wanted on a grid.
    bits : int, optional
        Width to requantize to, by default the node's activation width.
    varying : tuple of int, optional
        Axes along which the scale may vary; by default all.
    """
    view = _as_view(tensor)
    if view is not None and varying is not None:
        view = _level(view, varying)
    if view is not None and _is_uniform(view.scale, varying) and not _too_wide(ctx, tensor):
        return view
    view = _as_view(requantize(ctx, tensor, bits=bits))
    assert view is not None  # a lookup's own result is on its grid
    return view


def _too_wide(ctx: LoweringContext, tensor: EncryptedTensor) -> bool:
    """Whether a product of these integers would be too wide for the lookup that follows it."""
    return ctx.feeds_lookup and tensor.register.interval.width > _WIDEST_FACTOR


def _as_view(tensor: EncryptedTensor) -> AffineView | None:
    parameters = affine_parameters(tensor)
    if parameters is None:
        return None
    scale, offset = parameters
    return AffineView(tensor.register, scale[tensor.channel], offset[tensor.channel])


def _level(view: AffineView, varying: tuple[int, ...]) -> AffineView:
    """Give constant elements (padding, masks) the scale of those they share weights with.

    The real value of an integer that never changes can be written with any scale.
    """
    bounds = view.register.bounds
    constant = np.asarray(bounds.low == bounds.high)
    if not constant.any():
        return view
    free = {axis % view.scale.ndim for axis in varying}
    fixed = tuple(axis for axis in range(view.scale.ndim) if axis not in free)
    low = np.where(constant, np.inf, view.scale).min(axis=fixed, keepdims=True)
    shared = np.where(np.isfinite(low), low, view.scale)
    scale = np.where(constant, shared, view.scale)
    offset = view.offset + (view.scale - scale) * bounds.low
    return AffineView(view.register, scale, offset)


def _is_uniform(scale: np.ndarray, varying: tuple[int, ...] | None) -> bool:
    if varying is None or scale.size == 0:
        return True
    free = {axis % scale.ndim for axis in varying}
    fixed = tuple(axis for axis in range(scale.ndim) if axis not in free)
    low, high = scale.min(axis=fixed), scale.max(axis=fixed)
    return bool((high - low <= _STRAIGHT * np.maximum(np.abs(low), np.abs(high))).all())


def choose_grid(ctx: LoweringContext, tensor: EncryptedTensor, bits: int) -> Grid:
    """Choose the grid of at most `2**bits` values that fits a tensor's range.

    A tensor of few values (a boolean, a sign, small integers) gets a grid that holds them
    exactly, in the bits they need. Zero is on the grid whenever it is in the range.
    """
    exact = _exact_grid(tensor, bits)
    if exact is not None:
        return exact
    low, high = ctx.value_range(tensor)
    if not low < high:
        return Grid(1.0, low, 1)
    scale = (high - low) / (2**bits - 1)
    if low <= 0.0 <= high:
        low = -scale * round(-low / scale)
    return Grid(scale, low, 2**bits)


def _exact_grid(tensor: EncryptedTensor, bits: int) -> Grid | None:
    interval = tensor.register.interval
    if (interval.high - interval.low + 1) * tensor.decode.channels > 2**20:
        return None
    low, high = _channel_bounds(tensor)
    q = np.arange(interval.low, interval.high + 1)
    value = tensor.decode(q[np.newaxis], np.arange(tensor.decode.channels)[:, np.newaxis])
    real = value.astype(np.float64)
    met = (q >= low[:, np.newaxis]) & (q <= high[:, np.newaxis]) & np.isfinite(real)
    levels = np.unique(real[met])
    if levels.size == 0 or levels.size > 2**bits:
        return None
    if levels.size == 1:
        return Grid(1.0, levels[0], 1)
    step = np.diff(levels).min()
    places = (levels - levels[0]) / step
    count = int(np.rint(places[-1])) + 1
    if count > 2**bits or np.abs(places - np.rint(places)).max() > 1e-6:
        return None
    return Grid(step, levels[0], count)


def requantize(
    ctx: LoweringContext, tensor: EncryptedTensor, *, bits: int | None = None
) -> EncryptedTensor:
    """Bring a tensor onto the grid that fits its range, by one lookup per element.

    Parameters
    ----------
    bits : int, optional
        Width of the result, by default the node's activation width.
    """
    width = bits or ctx.bits.activation_bits or ctx.config.activation_bits
    return lookup(ctx, tensor, choose_grid(ctx, tensor, width))


def lookup(ctx: LoweringContext, tensor: EncryptedTensor, grid: Grid) -> EncryptedTensor:
    """Emit the table lookup that brings a tensor onto a grid: one bootstrap per element.

    The tables are exact over the whole interval of the integers that enter them; real values
    outside the grid take its nearest end.
    """
    grids = tuple(array.tobytes() for array in (grid.scale, grid.offset))
    key = (tensor.register.position, id(tensor.decode), id(tensor.channel), grids, grid.levels)
    known = ctx.builder.lookups.get(key)
    if known is None:
        with ctx.builder.on_behalf_of(tensor.node):
            known = tensor, _lookup(ctx, tensor, grid)
        ctx.builder.lookups[key] = known
    result: EncryptedTensor = known[1]
    return result


def _lookup(ctx: LoweringContext, tensor: EncryptedTensor, grid: Grid) -> EncryptedTensor:
    tensor, shift = _settle(ctx, tensor)
    scale = np.broadcast_to(grid.scale, tensor.shape)
    offset = np.broadcast_to(grid.offset, tensor.shape)
    columns = [tensor.channel]
    columns += [
        np.unique(values, return_inverse=True)[1].reshape(tensor.shape)
        for values in (scale, offset)
    ]
    rows, group = group_rows(columns)
    _, first = np.unique(group.reshape(-1), return_index=True)
    steps = scale.reshape(-1)[first][:, np.newaxis]
    lowest = offset.reshape(-1)[first][:, np.newaxis]

    interval = tensor.register.interval
    entries = np.arange(interval.low >> shift, (interval.high >> shift) + 1) << shift
    real = tensor.decode(entries[np.newaxis], rows[:, :1]).astype(np.float64)
    with np.errstate(all="ignore"):
        codes = np.rint((real - lowest) / steps)
    codes = np.clip(np.nan_to_num(codes, nan=0.0), 0, grid.levels - 1).astype(np.int64)
    tables, index = np.unique(codes, axis=0, return_inverse=True)
    constants = {"tables": tables}
    if len(tables) > 1:
        constants["index"] = index.reshape(-1)[group]
    register = ctx.builder.emit(
        Opcode.LOOKUP,
        [tensor.register],
        {"offset": int(entries[0]), "shift": shift},
        constants,
    )
    result = EncryptedTensor.on_grid(register, scale, offset, tensor.dtype)
    return result.named(tensor.name, tensor.node)


def _filled(ctx: LoweringContext, tensor: EncryptedTensor) -> EncryptedTensor:
    """Multiply each channel by the clear integer that makes it as wide as the widest one.

    Rounding takes the same number of low bits from all channels; a channel that uses few
    integers would lose most of what it says.
    """
    low, high = _occupied(ctx, tensor)
    span = high - low
    widest = int(span.max(initial=0))
    keep = ctx.bits.rounding_bits
    if tensor.register.packed or not keep or bit_width(0, widest) <= keep:
        return tensor
    factor = np.where(span > 0, widest // np.maximum(span, 1), 1)
    if (factor == 1).all():
        return tensor
    register = ctx.builder.emit(
        Opcode.MULTIPLY, [tensor.register], constants={"operand": factor[tensor.channel]}
    )
    decode = tensor.decode
    filled = type(decode)(
        decode.channels, lambda q, c: decode(np.rint(q / factor[c]).astype(np.int64), c)
    )
    return attrs.evolve(tensor, register=register, decode=filled)


def _settle(ctx: LoweringContext, tensor: EncryptedTensor) -> tuple[EncryptedTensor, int]:
    """Prepare a register for a lookup; return the tensor and how many low bits are rounded away.

    Each channel is moved by a constant, which is free, so that all of them start at zero and the
    widest one decides the width. What room is left in that width is divided between both sides.
    Then low bits are rounded away if the result is wider than the node's `rounding_bits`.
    """
    tensor = _filled(ctx, tensor)
    register = tensor.register
    low, high = _occupied(ctx, tensor)
    span = int((high - low).max(initial=0))
    width = bit_width(0, span)
    keep = None if register.packed else ctx.bits.rounding_bits
    shift = max(0, width - keep) if keep else 0
    half = (1 << shift) >> 1
    if span + half > 2**width - 1:
        width, shift = width + 1, shift + 1
        half = (1 << shift) >> 1
    if width - shift > _WIDEST:
        raise BitWidthError((WideLookup(ctx.bound.name, width - shift),), 16)
    top = 2**width - 1 - half
    fits = register.interval.low >= 0 and register.interval.high <= top
    if not fits:
        proven_low, _ = _pool(tensor, register.bounds.low, register.bounds.high)
        base = np.maximum(low - (top - (high - low)) // 2, np.minimum(proven_low, low))
        register = ctx.builder.emit(
            Opcode.ADD,
            [register],
            constants={"operand": -base[tensor.channel]},
            interval=Interval(0, top),
        )
        decode = tensor.decode
        moved = type(decode)(decode.channels, lambda q, c: decode(q + base[c], c))
        tensor = attrs.evolve(tensor, register=register, decode=moved)
    if shift:
        rounded = Interval(0, ((register.interval.high + half) >> shift) << shift)
        register = ctx.builder.emit(Opcode.ROUND, [register], {"lsbs": shift}, interval=rounded)
        tensor = attrs.evolve(tensor, register=register)
    return tensor, shift


def _occupied(ctx: LoweringContext, tensor: EncryptedTensor) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest integer of each channel: calibrated with a margin, or proven."""
    register = tensor.register
    proven_low, proven_high = _pool(tensor, register.bounds.low, register.bounds.high)
    # Operands that are packed together meet in combinations that calibration has not seen.
    if ctx.builder.proven or register.packed or register.samples.size == 0:
        return proven_low, proven_high
    low = register.samples.min(axis=0).astype(np.int64)
    high = register.samples.max(axis=0).astype(np.int64)
    low, high = ctx.builder.widen(*_pool(tensor, low, high))
    return np.maximum(low, proven_low), np.minimum(high, proven_high)
