"""Table lookups: what costs under encryption. They are emitted here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np

from cml_core.program.instructions import Opcode
from cml_core.quantization.affine import channel_bounds
from cml_core.quantization.builder import Register
from cml_core.quantization.codes import Grid, codes_on
from cml_core.quantization.conditions import conjunctions_of, in_stages
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.cut_inputs import parts_of
from cml_core.quantization.encrypted import EncryptedTensor, group_rows
from cml_core.quantization.part_lookups import looked_up_by_parts
from cml_core.quantization.settling import rounded, settle

__all__ = ["lookup"]

#: Calibration samples that a table's own value weighs as much as.
_PRIOR = 4.0


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
        return looked_up_by_parts(ctx, tensor, grid, parts, lookup)
    whole = _looked_up(ctx, tensor, grid, unread, trim)
    if grid.levels != 2 or unread is not None or trim or not tensor.register.packed:
        return whole
    staged = _in_stages(ctx, tensor, grid)
    if staged is None:
        return whole
    prices = [ctx.builder.complexity([each.register]) for each in (staged, whole)]
    return staged if prices[0] < prices[1] else whole


def _in_stages(ctx: LoweringContext, tensor: EncryptedTensor, grid: Grid) -> EncryptedTensor | None:
    """Bits of counted conditions, if they say whether all of them hold."""
    scale, offset = (np.broadcast_to(ends, tensor.shape) for ends in (grid.scale, grid.offset))
    interval = tensor.register.interval
    entries = np.arange(interval.low, interval.high + 1)
    own = Grid(scale.reshape(-1), offset.reshape(-1), grid.levels)
    codes = codes_on(own, tensor, tensor.channel.reshape(-1), entries[np.newaxis])
    found = conjunctions_of(ctx.builder, tensor.register, codes, interval.low)
    if found is None:
        return None
    bits = in_stages(ctx.builder, *found)
    register = ctx.builder.emit(Opcode.RESHAPE, [bits], shape=tensor.shape)
    result = EncryptedTensor.on_grid(register, scale, offset, tensor.dtype)
    return result.named(tensor.name, tensor.node)


def _looked_up(
    ctx: LoweringContext,
    tensor: EncryptedTensor,
    grid: Grid,
    unread: np.ndarray | None,
    trim: bool,
) -> EncryptedTensor:
    """One lookup for each element, of as many bits as they have."""
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
    alive, fixed = (least < most)[group], least[group]
    bounds = tensor.register.bounds
    if not shift:
        # An element may never change although others of its channel do.
        constant = (bounds.low == bounds.high) & (bounds.low >= interval.low)
        constant &= bounds.high <= interval.high
        only = np.where(constant, bounds.low - interval.low, 0)
        alive, fixed = alive & ~constant, np.where(constant, codes[group, only], fixed)
    if unread is not None:
        alive &= ~unread
    settings = {"offset": int(entries[0]), "shift": shift}
    if alive.all():
        register = _emitted(ctx, tensor.register, settings, codes, group)
    else:
        fixed = np.where(alive, 0, fixed)
        register = _where_alive(ctx, whole.register, settings, codes, group, alive)
        if fixed.any():
            register = ctx.builder.emit(Opcode.ADD, [register], constants={"operand": fixed})
    result = EncryptedTensor.on_grid(register, scale, offset, tensor.dtype)
    return result.named(tensor.name, tensor.node)


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
