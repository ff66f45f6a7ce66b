"""Table lookups: what costs under encryption. They are emitted here and nowhere else."""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.errors import BitWidthError, WideLookup
from cml_core.program.instructions import Interval, Opcode, bit_width
from cml_core.quantization.affine import pooled
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.encrypted import EncryptedTensor, group_rows

__all__ = ["Grid", "lookup"]

#: Widest lookup that is built at all; compilers draw their own line, at 16 bits.
_WIDEST = 20


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
        proven_low, _ = pooled(tensor, register.bounds.low, register.bounds.high)
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
    proven_low, proven_high = pooled(tensor, register.bounds.low, register.bounds.high)
    # Operands that are packed together meet in combinations that calibration has not seen.
    if ctx.builder.proven or register.packed or register.samples.size == 0:
        return proven_low, proven_high
    low = register.samples.min(axis=0).astype(np.int64)
    high = register.samples.max(axis=0).astype(np.int64)
    low, high = ctx.builder.widen(*pooled(tensor, low, high))
    return np.maximum(low, proven_low), np.minimum(high, proven_high)
