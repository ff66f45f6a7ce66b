"""Tables of inputs that are encrypted in parts: as bits, digits or integers.

What is asked of bits, and of integers whose upper digits are thermometers, is a sum of steps.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np

from cml_core.program.instructions import Opcode
from cml_core.program.ranges import Bounds
from cml_core.quantization.builder import Register
from cml_core.quantization.codes import Grid, codes_on
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.cut_inputs import Parts, Upper, steps_of_digits, sum_of_bits
from cml_core.quantization.encrypted import EncryptedTensor

__all__ = ["Lookup", "looked_up_by_parts"]

#: `lookup(ctx, tensor, grid)`: one bootstrap for each element.
Lookup = Callable[[LoweringContext, EncryptedTensor, Grid], EncryptedTensor]


def looked_up_by_parts(
    ctx: LoweringContext, tensor: EncryptedTensor, grid: Grid, parts: Parts, lookup: Lookup
) -> EncryptedTensor:
    """Look up each part of an input by itself; a function of bits needs no lookup.

    Parameters
    ----------
    ctx : LoweringContext
        The node being lowered.
    tensor : EncryptedTensor
        What is looked up.
    grid : Grid
        What the tables give.
    parts : Parts
        What the tensor's elements are made of.
    lookup : callable
        What brings a tensor of integers onto a grid.
    """
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
            registers.append(_of_integers(ctx, tensor, channel, own, source, first, lookup))
        order.append(mine)
    register = registers[0]
    if len(registers) > 1:
        register = emit(Opcode.CONCAT, registers, {"axis": 0})
    index = np.argsort(np.concatenate(order)).reshape(tensor.shape)
    if not np.array_equal(index, np.arange(index.size)):
        register = emit(Opcode.GATHER, [register], constants={"index": index})
    result = EncryptedTensor.on_grid(register, scale, offset, tensor.dtype)
    return result.named(tensor.name, tensor.node)


def _of_integers(
    ctx: LoweringContext,
    tensor: EncryptedTensor,
    channel: np.ndarray,
    grid: Grid,
    source: Register,
    first: np.ndarray,
    lookup: Lookup,
) -> Register:
    """The integers on a grid of elements that are integers; equal questions are asked once."""
    steps = [np.unique(ends, return_inverse=True)[1] for ends in (grid.scale, grid.offset)]
    keys = np.stack([first, channel, *(each.reshape(-1) for each in steps)])
    _, one, which = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    if len(one) == len(first):
        one = which = np.arange(len(first))
    taken = ctx.builder.emit(Opcode.GATHER, [source], constants={"index": first[one]})
    some = attrs.evolve(tensor, register=taken, channel=channel[one], name="")
    grid = Grid(grid.scale[one], grid.offset[one], grid.levels)
    register = lookup(ctx, some, grid).register
    if len(one) == len(first):
        return register
    return ctx.builder.emit(Opcode.GATHER, [register], constants={"index": which.reshape(-1)})


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
    codes = codes_on(grid, tensor, channel, np.broadcast_to(levels, (len(first), len(levels))))
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
    codes = codes_on(grid, tensor, channel, np.minimum(levels, number[:, np.newaxis]))
    changes = np.diff(codes).T
    # The changes that are not zero first, so that few bits are added.
    order = np.argsort(changes == 0, axis=0, kind="stable")
    used = max(1, int((changes != 0).sum(axis=0).max(initial=0)))
    factor = np.take_along_axis(changes, order, axis=0)[:used]
    index = np.where(factor != 0, first + order[:used], 0)
    return _summed(ctx, bits, index, factor, codes)


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
