"""Table lookups: what costs under encryption. They are emitted here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np

from cml_core.program.instructions import Opcode
from cml_core.program.ranges import Bounds
from cml_core.quantization.affine import channel_bounds
from cml_core.quantization.builder import Register
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.cut_inputs import (
    Parts,
    Upper,
    parts_of,
    steps_of_digits,
    sum_of_bits,
)
from cml_core.quantization.encrypted import EncryptedTensor, group_rows
from cml_core.quantization.settling import rounded, settle

__all__ = ["Grid", "lookup"]

#: Calibration samples that a table's own value weighs as much as.
_PRIOR = 4.0


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


def lookup(
    ctx: LoweringContext,
    tensor: EncryptedTensor,
    grid: Grid,
    *,
    unread: np.ndarray | None = None,
    trim: bool = False,
) -> EncryptedTensor:
    """Emit the table lookup that brings a tensor onto a grid: one bootstrap per element.

    The tables are exact over the whole interval of the integers that enter them; real values
    outside the grid take its nearest end. Elements that are the same whatever enters cost nothing.

    Parameters
    ----------
    ctx : LoweringContext
        The node being lowered.
    tensor : EncryptedTensor
        What is looked up.
    grid : Grid
        What the tables give.
    unread : bool array of the tensor's shape, optional
        Elements that nobody will read: they cost nothing and may be anything on the grid.
    trim : bool
        Let the integers of the result begin at zero, with the lowest value that is met.
    """
    arrays = (grid.scale, grid.offset) if unread is None else (grid.scale, grid.offset, unread)
    grids = (*(array.tobytes() for array in arrays), grid.levels, trim)
    key = (tensor.register.position, id(tensor.decode), id(tensor.channel), grids)
    known = ctx.builder.lookups.get(key)
    if known is None:
        with ctx.builder.on_behalf_of(tensor.node):
            known = tensor, _lookup(ctx, tensor, grid, unread, trim)
        ctx.builder.lookups[key] = known
    result: EncryptedTensor = known[1]
    return result


def _lookup(
    ctx: LoweringContext,
    tensor: EncryptedTensor,
    grid: Grid,
    unread: np.ndarray | None,
    trim: bool,
) -> EncryptedTensor:
    parts = parts_of(ctx.builder, tensor.register)
    if parts is not None:
        return _of_parts(ctx, tensor, grid, parts)
    whole, shift = settle(ctx, tensor)
    tensor = attrs.evolve(whole, register=rounded(ctx, whole.register, shift))
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
    if shift:
        real = _fitted(ctx, tensor, real, group, entries)
    with np.errstate(all="ignore"):
        codes = np.rint((real - lowest) / steps)
    codes = np.clip(np.nan_to_num(codes, nan=0.0), 0, grid.levels - 1).astype(np.int64)
    least, most = _reached(tensor, codes, rows[:, 0], entries, shift)
    if trim:
        lowest_met = least.min(initial=grid.levels)
        codes, least, most = (np.maximum(c - lowest_met, 0) for c in (codes, least, most))
        offset = offset + scale * lowest_met
    alive = (least < most)[group]
    if unread is not None:
        alive &= ~unread
    settings = {"offset": int(entries[0]), "shift": shift}
    if alive.all():
        register = _emitted(ctx, tensor.register, settings, codes, group)
    else:
        fixed = np.where(alive, 0, least[group])
        register = _where_alive(ctx, whole.register, settings, codes, group, alive)
        if fixed.any():
            register = ctx.builder.emit(Opcode.ADD, [register], constants={"operand": fixed})
    result = EncryptedTensor.on_grid(register, scale, offset, tensor.dtype)
    return result.named(tensor.name, tensor.node)


def _of_parts(
    ctx: LoweringContext, tensor: EncryptedTensor, grid: Grid, parts: Parts
) -> EncryptedTensor:
    """Look up each part of an input by itself; a function of bits needs no lookup."""
    emit = ctx.builder.emit
    scale, offset = (np.broadcast_to(ends, tensor.shape) for ends in (grid.scale, grid.offset))
    part, registers, order = parts.part[parts.where], [], []
    for each in np.unique(part).tolist():
        (mine,) = np.nonzero(part.reshape(-1) == each)
        where = parts.where.reshape(-1)[mine]
        channel = tensor.channel.reshape(-1)[mine]
        own = Grid(scale.reshape(-1)[mine], offset.reshape(-1)[mine], grid.levels)
        source = parts.registers[max(each, 0)]
        first, number = parts.first[where], parts.number[where]
        digits = parts.above[each] if each >= 0 else None
        if digits is not None:
            registers.append(_of_digits(ctx, tensor, channel, own, source, digits, first))
        elif parts.is_bits(each):
            registers.append(_of_bits(ctx, tensor, channel, own, source, first, number))
        else:
            taken = emit(Opcode.GATHER, [source], constants={"index": first})
            some = attrs.evolve(tensor, register=taken, channel=channel, name="")
            registers.append(lookup(ctx, some, own).register)
        order.append(mine)
    register = registers[0]
    if len(registers) > 1:
        register = emit(Opcode.CONCAT, registers, {"axis": 0})
    index = np.argsort(np.concatenate(order)).reshape(tensor.shape)
    if not np.array_equal(index, np.arange(index.size)):
        register = emit(Opcode.GATHER, [register], constants={"index": index})
    result = EncryptedTensor.on_grid(register, scale, offset, tensor.dtype)
    return result.named(tensor.name, tensor.node)


def _of_digits(
    ctx: LoweringContext,
    tensor: EncryptedTensor,
    channel: np.ndarray,
    grid: Grid,
    lower: Register,
    digits: Upper,
    first: np.ndarray,
) -> Register:
    """The integers on a grid of elements whose upper digits are thermometers.

    A function of an integer is a sum of steps, and only those at which it changes are asked for.
    """
    levels = np.arange(digits.levels)
    codes = _codes(tensor, channel, grid, np.broadcast_to(levels, (len(first), len(levels))))
    changes = np.diff(codes)
    where, cut = np.nonzero(changes)
    pairs, step = np.unique(np.stack([first[where], cut]), axis=1, return_inverse=True)
    most = int((changes != 0).sum(axis=1).max(initial=0))
    if most == 0:
        pairs, step = np.zeros((2, 1), dtype=np.int64), step.reshape(-1)
    bits = steps_of_digits(ctx.builder, lower, digits, *pairs)
    # In each row, its changes one after another.
    order = (changes != 0).cumsum(axis=1)[where, cut] - 1
    index = np.zeros((max(most, 1), len(first)), dtype=np.int64)
    factor = np.zeros_like(index)
    index[order, where] = step.reshape(-1)
    factor[order, where] = changes[where, cut]
    return _summed(ctx, bits, index, factor, codes)


def _codes(
    tensor: EncryptedTensor, channel: np.ndarray, grid: Grid, entries: np.ndarray
) -> np.ndarray:
    """Integers on a grid for integers of a tensor, a row for each element."""
    real = tensor.decode(entries, channel[:, np.newaxis]).astype(np.float64)
    with np.errstate(all="ignore"):
        codes = np.rint((real - grid.offset[:, np.newaxis]) / grid.scale[:, np.newaxis])
    whole: np.ndarray = np.clip(np.nan_to_num(codes, nan=0.0), 0, grid.levels - 1).astype(np.int64)
    return whole


def _summed(
    ctx: LoweringContext,
    bits: Register,
    index: np.ndarray,
    factor: np.ndarray,
    codes: np.ndarray,
) -> Register:
    """The first integer of each element and what its bits add."""
    register = sum_of_bits(ctx.builder, bits, index, factor)
    start = codes[:, 0]
    if start.any():
        register = ctx.builder.emit(Opcode.ADD, [register], constants={"operand": start})
    # Bits of one element come in one order, which interval arithmetic cannot see.
    return attrs.evolve(register, bounds=Bounds(codes.min(axis=1), codes.max(axis=1)))


def _of_bits(
    ctx: LoweringContext,
    tensor: EncryptedTensor,
    channel: np.ndarray,
    grid: Grid,
    bits: Register,
    first: np.ndarray,
    number: np.ndarray,
) -> Register:
    """The integers on a grid of elements that are sums of bits: what each bit adds is known."""
    levels = np.arange(max(1, int(number.max(initial=0))) + 1)
    codes = _codes(tensor, channel, grid, np.minimum(levels, number[:, np.newaxis]))
    changes = np.diff(codes).T
    # The changes that are not zero first, so that few bits are added.
    order = np.argsort(changes == 0, axis=0, kind="stable")
    used = max(1, int((changes != 0).sum(axis=0).max(initial=0)))
    factor = np.take_along_axis(changes, order, axis=0)[:used]
    index = np.where(factor != 0, first + order[:used], 0)
    return _summed(ctx, bits, index, factor, codes)


def _reached(
    tensor: EncryptedTensor, codes: np.ndarray, channel: np.ndarray, entries: np.ndarray, shift: int
) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest code of each row that an integer of its channel can reach."""
    low, high = (ends[channel][:, np.newaxis] >> shift for ends in channel_bounds(tensor))
    met = (entries >> shift >= low) & (entries >> shift <= high)
    least: np.ndarray = np.where(met, codes, np.iinfo(np.int64).max).min(axis=1)
    most: np.ndarray = np.where(met, codes, np.iinfo(np.int64).min).max(axis=1)
    return least, most


def _emitted(
    ctx: LoweringContext,
    register: Register,
    settings: Mapping[str, int],
    codes: np.ndarray,
    group: np.ndarray,
) -> Register:
    """Look every element up by the table of its group."""
    tables, index = np.unique(codes, axis=0, return_inverse=True)
    constants = {"tables": tables}
    if len(tables) > 1:
        constants["index"] = index.reshape(-1)[group]
    return ctx.builder.emit(Opcode.LOOKUP, [register], settings, constants)


def _where_alive(
    ctx: LoweringContext,
    register: Register,
    settings: Mapping[str, int],
    codes: np.ndarray,
    group: np.ndarray,
    alive: np.ndarray,
) -> Register:
    """Look only those elements up that are alive, and put zeros in place of the others."""
    emit = ctx.builder.emit
    places = np.flatnonzero(alive)
    if places.size == 0:
        return emit(Opcode.MULTIPLY, [register], constants={"operand": alive.astype(np.int64)})
    if len(register.shape) != 1:
        register = emit(Opcode.RESHAPE, [register], shape=(alive.size,))
    taken = emit(Opcode.GATHER, [register], constants={"index": places})
    taken = rounded(ctx, taken, settings["shift"])
    found = _emitted(ctx, taken, settings, codes, group.reshape(-1)[places])
    padded = emit(Opcode.PAD, [found], {"before": (0,), "after": (1,)})
    index = np.full(alive.size, len(places), dtype=np.int64)
    index[places] = np.arange(len(places))
    return emit(Opcode.GATHER, [padded], constants={"index": index.reshape(alive.shape)})


def _fitted(
    ctx: LoweringContext,
    tensor: EncryptedTensor,
    real: np.ndarray,
    group: np.ndarray,
    entries: np.ndarray,
) -> np.ndarray:
    """Replace what a table says of the middle of each rounded interval by what the data says.

    The mean of the float model's values over the calibration samples that fall into an interval
    is its value of least squared error. It accounts for how values are spread inside the
    interval, and for what earlier layers have lost. `_PRIOR` samples speak for the middle.
    """
    wanted = ctx.float_values(tensor)
    if not ctx.config.fit_tables or wanted is None or tensor.dtype.kind != "f":
        return real
    codes = tensor.register.samples[: len(wanted)].astype(np.int64)
    place = np.searchsorted(entries, codes).clip(0, len(entries) - 1)
    cell = (group * len(entries) + place).reshape(-1)
    values = wanted.astype(np.float64).reshape(-1)
    count = np.bincount(cell, minlength=real.size).reshape(real.shape)
    total = np.bincount(cell, weights=values, minlength=real.size).reshape(real.shape)
    middle = np.where(np.isfinite(real), real, 0.0)
    prior = np.where(np.isfinite(real), _PRIOR, 0.0)
    fitted = (total + prior * middle) / np.maximum(count + prior, 1e-300)
    return np.where(count > 0, fitted, real)
