"""Which interval each instruction is declared with, and whether a compiler can take it.

An intermediate result may leave its interval as long as what is finally looked up or decrypted
lies in its own; see `cml_core.program.precision`.
"""

from __future__ import annotations

import functools

import numpy as np

from cml_core.errors import BitWidthError, WideLookup
from cml_core.program.cost import lookup_width
from cml_core.program.instructions import Instruction, Interval, Opcode, Program, bit_width
from cml_core.program.precision import shared_widths, values_that_count

__all__ = ["check_widths", "circuit_width", "declared_intervals"]


def declared_intervals(program: Program) -> list[Interval]:
    """Return the interval to declare for the result of each instruction."""
    counts = values_that_count(program)
    declared = []
    for position, (instruction, room) in enumerate(
        zip(program.instructions, shared_widths(program), strict=True)
    ):
        inside = position in counts or instruction.interval.width <= room
        declared.append(instruction.interval if inside else Interval(0, 2**room - 1))
    return declared


def circuit_width(program: Program) -> tuple[int, int]:
    """Return the least and the greatest width that a circuit's widest integer may have.

    The least is that of the declared intervals. A compiler makes what a constant is added to or
    multiplied with as wide as the constant, and some join all outputs in one tensor.
    """
    intervals = declared_intervals(program)
    least = max((interval.width for interval in intervals), default=0)
    outputs = [intervals[position] for position in program.outputs]
    joined = functools.reduce(Interval.hull, outputs).width if outputs else 0
    return least, max([least, joined, *map(_constant_width, program.instructions)])


def _constant_width(instruction: Instruction) -> int:
    """Bits of an instruction's constants; those that are added are added or subtracted unsigned."""
    arrays = (instruction.constants.get(name) for name in ("operand", "weight"))
    values = np.concatenate([a.reshape(-1) for a in arrays if a is not None] or [np.zeros(1)])
    if instruction.opcode is Opcode.ADD:
        values = np.abs(values)
    return bit_width(int(values.min(initial=0)), int(values.max(initial=0)))


def check_widths(program: Program, backend: str, max_lookup_bits: int, max_bits: int) -> None:
    """Refuse integers that are too wide for a compiler.

    Raises
    ------
    BitWidthError
        Naming every such node and its width.
    """
    wide: dict[tuple[str, str], WideLookup] = {}
    for instruction in program.instructions:
        if instruction.opcode is Opcode.LOOKUP:
            width = lookup_width(program, instruction)
            if width > max_lookup_bits:
                _note(wide, WideLookup(instruction.node, width))
    if wide:
        raise BitWidthError(tuple(wide.values()), max_lookup_bits, backend)
    if not any(i.opcode is Opcode.LOOKUP for i in program.instructions):
        return
    for instruction, interval in zip(
        program.instructions, declared_intervals(program), strict=True
    ):
        if interval.width > max_bits:
            _note(wide, WideLookup(instruction.node, interval.width, "result"))
    if wide:
        raise BitWidthError(tuple(wide.values()), max_bits, backend)


def _note(wide: dict[tuple[str, str], WideLookup], found: WideLookup) -> None:
    key = found.node, found.role
    if key not in wide or wide[key].width < found.width:
        wide[key] = found
