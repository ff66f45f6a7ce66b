"""The closed instruction set of integer programs.

A program is a list of instructions in static single assignment: each has one result, named by
its position. Shapes are those of one sample; execution is vectorised over a leading axis of
samples. It needs no plugin to run.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np

__all__ = ["Instruction", "Interval", "Opcode", "Program", "bit_width"]


class Opcode(enum.Enum):
    """What an instruction does. `x`, `y` are encrypted, `operand` and `weight` are constants."""

    INPUT = "input"
    """An encrypted input; attribute `name`."""
    ADD = "add"
    """`x + y`, or `x + operand`."""
    SUBTRACT = "subtract"
    """`x - y`."""
    MULTIPLY = "multiply"
    """`x * operand`."""
    MATMUL = "matmul"
    """`x @ weight` over the last axis of x."""
    CONV = "conv"
    """Convolution of `x` `(1, C, *spatial)` with `weight` `(M, C/group, *kernel)`, no padding."""
    SUM = "sum"
    """Sum over `axes`, which are kept with size 1 if `keepdims`."""
    LOOKUP = "lookup"
    """`tables[index, (x - offset) >> shift]`: one bootstrap per element."""
    ROUND = "round"
    """Round to the nearest multiple of `2**lsbs`, halves up; unless `exact`, a compiler may give
    the second nearest where that is almost as near."""
    RESHAPE = "reshape"
    """Same elements in the same order, new `shape`."""
    TRANSPOSE = "transpose"
    """Axes in the order `perm`."""
    SLICE = "slice"
    """`starts`, `stops`, `steps` for every axis; a stop of None reaches the end."""
    GATHER = "gather"
    """Elements of flattened `x` at the positions in `index`, whose shape the result has."""
    CONCAT = "concat"
    """All inputs one after another along `axis`."""
    BROADCAST = "broadcast"
    """`x` repeated to `shape` by NumPy's rule."""
    PAD = "pad"
    """Zeros around `x`: `before` and `after` for every axis."""


#: Instructions that cost no bootstrap and whose result shares the precision of their inputs.
LEVELED = frozenset(Opcode) - {Opcode.INPUT, Opcode.LOOKUP, Opcode.ROUND}


@attrs.frozen(slots=True)
class Interval:
    """An inclusive interval of integers.

    Parameters
    ----------
    low, high : int
        Its least and its greatest integer.
    """

    low: int = attrs.field(converter=int)
    high: int = attrs.field(converter=int)

    @property
    def width(self) -> int:
        """Bits that hold every integer of the interval, two's complement if one is negative."""
        return bit_width(self.low, self.high)

    def hull(self, other: Interval) -> Interval:
        """The smallest interval that holds both."""
        return Interval(min(self.low, other.low), max(self.high, other.high))

    def meet(self, other: Interval) -> Interval:
        """What both hold; `other` if they are disjoint."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return Interval(low, high) if low <= high else other


def bit_width(low: int, high: int) -> int:
    """Bits that hold every integer from `low` to `high`; at least 1."""
    if low >= 0:
        return max(1, int(high).bit_length())
    return max(int(-low - 1).bit_length(), int(max(high, 0)).bit_length()) + 1


def _frozen_constants(value: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    return MappingProxyType(dict(value))


def _frozen_attributes(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(value))


@attrs.frozen(slots=True, eq=False)
class Instruction:
    """One step of a program.

    Parameters
    ----------
    opcode : Opcode
        What it does.
    inputs : tuple of int
        Positions of the instructions whose results it takes.
    shape : tuple of int
        Shape of its result for one sample.
    interval : Interval
        The integers that its result may take: seen in calibration, with a margin, or proven.
    proven : Interval
        What follows from weights and input ranges alone; it cannot be left.
    attributes : mapping
        Numbers, text and tuples of them.
    constants : mapping of str to array
        Integer arrays.
    node : str
        The node of the ONNX graph that it computes, for reports.
    """

    opcode: Opcode
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    interval: Interval
    proven: Interval
    attributes: Mapping[str, Any] = attrs.field(factory=dict, converter=_frozen_attributes)
    constants: Mapping[str, np.ndarray] = attrs.field(factory=dict, converter=_frozen_constants)
    node: str = ""

    @property
    def lost_bits(self) -> int:
        """Low bits that approximate rounding takes off; as an output, they are not decrypted."""
        if self.opcode is not Opcode.ROUND or self.attributes.get("exact", True):
            return 0
        return int(self.attributes["lsbs"])

    @property
    def size(self) -> int:
        """Number of elements of the result for one sample."""
        return int(np.prod(self.shape, dtype=np.int64))


@attrs.frozen(slots=True, eq=False, repr=False)
class Program:
    """Instructions, and which of their results are the program's outputs."""

    instructions: tuple[Instruction, ...]
    outputs: tuple[int, ...]

    def __str__(self) -> str:
        """One instruction in a line; see `cml_core.program.text`."""
        from cml_core.program.text import as_text

        return as_text(self)

    @property
    def inputs(self) -> tuple[int, ...]:
        """Positions of the input instructions, in order."""
        return tuple(
            position
            for position, instruction in enumerate(self.instructions)
            if instruction.opcode is Opcode.INPUT
        )

    def pruned(self, inputs: Sequence[int] | None = None) -> Program:
        """Return the program without instructions that no output needs.

        Parameters
        ----------
        inputs : sequence of int, optional
            Positions of inputs that stay, needed or not; by default all of them.
        """
        needed = set(self.outputs) | set(self.inputs if inputs is None else inputs)
        for position in range(len(self.instructions) - 1, -1, -1):
            if position in needed:
                needed.update(self.instructions[position].inputs)
        order = sorted(needed)
        place = {old: new for new, old in enumerate(order)}
        kept = tuple(
            attrs.evolve(
                self.instructions[old],
                inputs=tuple(place[i] for i in self.instructions[old].inputs),
            )
            for old in order
        )
        return Program(kept, tuple(place[old] for old in self.outputs))
