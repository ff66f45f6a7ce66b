"""Fusing instructions: fewer and larger steps that give the same integers.

A lookup and the elementwise steps before it become one table over all that may enter them; under
encryption they keep the table small, in the clear a larger one is faster. A product and what
only moves elements before it become one matrix. Elements that a lookup picks are picked from the
columns of that matrix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from cml_core.program.apply import apply_instruction
from cml_core.program.instructions import Instruction, Opcode, Program
from cml_core.program.rules import MOVES, flattened, prepare

__all__ = ["FusedLookup", "FusedProduct", "fuse_lookup", "fuse_product"]

#: Entries that fused tables may have, so that they stay in a processor's cache.
_ENTRIES = 2**19
#: Entries that a fused product's matrix may have.
_WEIGHTS = 2**16
#: How many times its own multiplications a fused product may cost. Unfused, a convolution has to
#: copy each pixel several times.
_WASTE = {Opcode.MATMUL: 4, Opcode.CONV: 16}
_PICKS = MOVES - {Opcode.CONCAT, Opcode.PAD}


@attrs.frozen(slots=True, eq=False)
class FusedLookup:
    """`table[base + x]`, a table per kind of element.

    Parameters
    ----------
    source : int
        The instruction from whose result x is taken.
    where : int array or None
        Positions in its flattened result, for each element of x; None for all of them.
    shape : tuple of int
        Shape of the result for one sample.
    base : array or number
        Where the table of each element has its entry for x = 0.
    table : array
        All tables, one after another. Where x would have left the interval before the lookup,
        `mark` is added to the entry.
    top : int
        The largest entry without a mark.
    mark : int
        0 if nothing can leave the interval.
    """

    source: int
    where: np.ndarray | None
    shape: tuple[int, ...]
    base: Any
    table: np.ndarray
    top: int
    mark: int

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Results for x, and which elements left the interval, or None if none did."""
        entry = flattened(x) + self.base
        # All entries are in the table; "wrap" is the mode that checks least.
        values = self.table.take(entry.astype(np.intp), mode="wrap")
        left = None
        if self.mark and values.max(initial=self.top) > self.top:
            left = values > self.top
            values[left] -= self.mark
        return values.reshape(len(x), *self.shape), left


def fuse_lookup(program: Program, position: int, dtype: np.dtype[Any]) -> FusedLookup | None:
    """Fuse a LOOKUP instruction with what precedes it; None where the tables would be too large.

    Parameters
    ----------
    program : Program
        The program.
    position : int
        The instruction in it.
    dtype : numpy.dtype
        Of the arrays that the program is executed on.
    """
    lookup = program.instructions[position]
    if lookup.size == 0:
        return None
    chain, columns, source, where = _before(program, lookup)
    low, high = program.instructions[source].proven.low, program.instructions[source].proven.high
    levels = high - low + 1
    if max(levels, abs(low)) > _ENTRIES:
        return None
    rows, kind = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    if len(rows) * levels > _ENTRIES:
        return None
    x = np.arange(low, high + 1)[np.newaxis, np.newaxis]
    for step, column in zip(chain, rows.T, strict=False):
        x = apply_instruction(_with(step, "operand", column), [x])
    table = apply_instruction(_with(lookup, "index", rows[:, -1]), [x])
    entering = program.instructions[lookup.inputs[0]].interval
    inside = (x >= entering.low) & (x <= entering.high)
    top = int(table.max())
    mark = 0 if inside.all() else top - int(table.min()) + 1
    if top + mark > _ENTRIES:
        return None
    table = np.broadcast_to(table + np.where(inside, 0, mark), (1, len(rows), levels))
    starts = kind.reshape(-1) * levels - low
    base = starts.astype(dtype) if len(rows) > 1 else dtype.type(-low)
    flat = table.astype(dtype).reshape(-1)
    return FusedLookup(source, where, lookup.shape, base, flat, top, mark)


def _before(
    program: Program, lookup: Instruction
) -> tuple[list[Instruction], list[np.ndarray], int, np.ndarray | None]:
    """What precedes a lookup, elementwise or moving elements.

    Returns
    -------
    chain : list of Instruction
        The elementwise steps, in order.
    columns : list of arrays
        For each of them and for the lookup, the constant of each of the lookup's elements.
    source, where
        As in `FusedLookup`.
    """
    chain: list[Instruction] = []
    columns = [_column(lookup, "index", lookup.shape)]
    where = np.arange(lookup.size)
    position = lookup.inputs[0]
    while True:
        step = program.instructions[position]
        if len(step.inputs) != 1:
            break
        shape = program.instructions[step.inputs[0]].shape
        if step.opcode in _PICKS:
            places = np.arange(math.prod(shape)).reshape(1, *shape)
            where = apply_instruction(step, [places]).reshape(-1)[where]
        elif step.opcode in (Opcode.ADD, Opcode.MULTIPLY, Opcode.ROUND) and step.shape == shape:
            chain.insert(0, step)
            columns.insert(0, _column(step, "operand", shape)[where])
        else:
            break
        position = step.inputs[0]
    whole = np.array_equal(where, np.arange(program.instructions[position].size))
    return chain, columns, position, None if whole else where


def _column(step: Instruction, name: str, shape: Sequence[int]) -> np.ndarray:
    constant = step.constants.get(name, np.zeros((), dtype=np.int64))
    return np.broadcast_to(constant, shape).reshape(-1)


def _with(step: Instruction, name: str, column: np.ndarray) -> Instruction:
    """The step with one value of a constant for each row."""
    if name not in step.constants:
        return step
    return attrs.evolve(step, constants={**step.constants, name: column[:, np.newaxis]})


@attrs.frozen(slots=True, eq=False)
class FusedProduct:
    """`x @ matrix` over whole samples.

    Parameters
    ----------
    source : int
        The instruction whose flattened result is x.
    matrix : array
        A column for each element of the result.
    shape : tuple of int
        Shape of the result for one sample.
    """

    source: int
    matrix: np.ndarray
    shape: tuple[int, ...]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The products of samples."""
        product: np.ndarray = np.matmul(flattened(x), self.matrix)
        return product.reshape(len(x), *self.shape)


def fuse_product(
    program: Program, position: int, where: np.ndarray | None, dtype: np.dtype[Any]
) -> FusedProduct | None:
    """Fuse a MATMUL or CONV instruction with what moves elements before it; None if too large.

    Parameters
    ----------
    program : Program
        The program.
    position : int
        The instruction in it.
    where : int array or None
        Positions in its flattened result that are wanted; None for all of them.
    dtype : numpy.dtype
        Of the arrays that the program is executed on.
    """
    instruction = program.instructions[position]
    weight = instruction.constants["weight"]
    conv = instruction.opcode is Opcode.CONV
    depth = math.prod(weight.shape[1:]) if conv else weight.shape[-2]
    columns = instruction.size if where is None else len(where)
    chain = [position]
    while True:
        first = program.instructions[chain[0]]
        source = program.instructions[first.inputs[0]]
        if source.opcode not in MOVES or len(source.inputs) != 1:
            break
        chain.insert(0, first.inputs[0])
    for start in range(len(chain)):
        before = program.instructions[chain[start]].inputs[0]
        shape = program.instructions[before].shape
        size = math.prod(shape)
        if 0 < size * columns <= _WEIGHTS and size <= depth * _WASTE[instruction.opcode]:
            break
    else:
        return None
    # What each element alone gives is its row of the matrix.
    x = np.eye(size, dtype=dtype).reshape(size, *shape)
    for step in chain[start:]:
        x = prepare(program.instructions[step], dtype)([x])
    matrix = x.reshape(size, instruction.size)
    if where is None:
        return FusedProduct(before, matrix, instruction.shape)
    return FusedProduct(before, np.ascontiguousarray(matrix[:, where]), (columns,))
