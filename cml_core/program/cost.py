"""What a program costs under encryption, predicted without compiling it.

Cost is programmable bootstraps: it grows steeply with the width of what enters a table and
linearly with the number of elements. The figures are the complexities that Concrete's optimizer
reports for one lookup (concrete-python 2.11, failure probability 2**-40).
"""

from __future__ import annotations

from collections import Counter

import attrs

from cml_core.program.instructions import Instruction, Opcode, Program

__all__ = ["LOOKUP_COMPLEXITY", "NodeCost", "lookup_complexity", "lookup_width", "program_cost"]

#: Complexity of one lookup by input width in bits, 1 to 9; beyond, each bit costs 2.3 times more.
LOOKUP_COMPLEXITY = (2.9e7, 4.1e7, 5.9e7, 9.6e7, 2.2e8, 5.1e8, 1.2e9, 2.6e9, 6.0e9)
_GROWTH = 2.3


def lookup_complexity(width: int) -> float:
    """Complexity of one table lookup on an integer of `width` bits."""
    known = len(LOOKUP_COMPLEXITY)
    if width <= known:
        return LOOKUP_COMPLEXITY[max(width, 1) - 1]
    return LOOKUP_COMPLEXITY[-1] * float(_GROWTH ** (width - known))


def lookup_width(program: Program, instruction: Instruction) -> int:
    """Bits that enter the tables of a LOOKUP instruction, after rounding if there is one."""
    source = program.instructions[instruction.inputs[0]]
    return max(1, source.interval.width - int(instruction.attributes["shift"]))


@attrs.frozen(slots=True)
class NodeCost:
    """What one node of the model costs for one sample.

    Parameters
    ----------
    lookups : mapping of int to int
        Table lookups by input width in bits.
    rounded_bits : int
        Bits that exact rounding takes off, one small bootstrap each.
    complexity : float
        Predicted complexity, in Concrete's unit.
    """

    lookups: Counter[int]
    rounded_bits: int
    complexity: float

    @property
    def total_lookups(self) -> int:
        """Number of table lookups."""
        return sum(self.lookups.values())


def program_cost(program: Program) -> dict[str, NodeCost]:
    """Lookups and predicted complexity for every node that has some, in program order."""
    lookups: dict[str, Counter[int]] = {}
    rounded: Counter[str] = Counter()
    complexity: Counter[str] = Counter()
    for instruction in program.instructions:
        if instruction.opcode is Opcode.LOOKUP:
            width = lookup_width(program, instruction)
            lookups.setdefault(instruction.node, Counter())[width] += instruction.size
            complexity[instruction.node] += instruction.size * lookup_complexity(width)  # type: ignore[assignment]
        elif instruction.opcode is Opcode.ROUND and instruction.attributes.get("exact", True):
            bits = int(instruction.attributes["lsbs"])
            lookups.setdefault(instruction.node, Counter())
            rounded[instruction.node] += instruction.size * bits
            complexity[instruction.node] += instruction.size * bits * lookup_complexity(1)  # type: ignore[assignment]
    return {
        node: NodeCost(counts, rounded[node], float(complexity[node]))
        for node, counts in lookups.items()
    }
