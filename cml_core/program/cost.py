"""What a program costs under encryption, predicted without compiling it.

Cost is programmable bootstraps. One of them is dearer the wider the integer that enters its table,
and the less noise its result may have: a result that passes through large weights, or that is
read at many bits, must leave room for that. Concrete chooses parameters once for all lookups of
a width, by the most demanding of them; so does the prediction.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence

import attrs
import numpy as np

from cml_core.program.cost_table import LOOKUP_COMPLEXITY
from cml_core.program.instructions import Instruction, Opcode, Program
from cml_core.program.precision import shared_widths

__all__ = [
    "APPROXIMATE",
    "NodeCost",
    "demand_steps",
    "lookup_complexity",
    "lookup_width",
    "noise_after",
    "program_cost",
]

#: Where a lookup's result goes when nothing is known of it: eight bits after small weights.
_USUAL_DEMAND = 12.0
#: How much more a lookup costs for each bit beyond the table.
_GROWTH = 2.3
#: What approximate rounding adds to the demand on what it reads, in bits, as measured.
APPROXIMATE = 0.7
#: Noise of a fresh encryption relative to a lookup's result; it is far smaller.
_FRESH = 2.0**-20


def lookup_complexity(width: int, demand: float = _USUAL_DEMAND) -> float:
    """Complexity of one table lookup, in the unit of Concrete's optimizer.

    Parameters
    ----------
    width : int
        Bits that enter the table.
    demand : float
        Bits at which the result is read, plus the binary logarithm of the norm of the weights
        that it passes through.

    Returns
    -------
    float
        What concrete-python 2.11 was measured to ask for one lookup at a failure probability of
        2⁻⁴⁰; see `cml_core/program/cost_table.py`. Widths beyond the table are extrapolated.
    """
    widest = max(LOOKUP_COMPLEXITY)
    steps = LOOKUP_COMPLEXITY[min(max(width, 1), widest)]
    place = max(0, bisect_right([least for least, _ in steps], demand) - 1)
    return steps[place][1] * float(_GROWTH ** max(0, width - widest))


def demand_steps(width: int) -> tuple[float, ...]:
    """Demands on results of lookups from which on lookups of a width become dearer, ascending.

    Parameters
    ----------
    width : int
        Bits that enter the table; see `lookup_complexity` for what a demand is.
    """
    steps = LOOKUP_COMPLEXITY[min(max(width, 1), max(LOOKUP_COMPLEXITY))]
    return tuple(least for least, _ in steps[1:])


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


def program_cost(program: Program, reserve: float = 0.0) -> dict[str, NodeCost]:
    """Lookups and predicted complexity for every node that has some, in program order.

    Parameters
    ----------
    program : Program
        What is computed.
    reserve : float
        Bits by which all demands are taken for higher than they are.
    """
    demand = {width: wanted + reserve for width, wanted in _demands(program).items()}
    lookups: dict[str, Counter[int]] = {}
    rounded: Counter[str] = Counter()
    complexity: dict[str, float] = {}
    for instruction in program.instructions:
        node = instruction.node
        if instruction.opcode is Opcode.LOOKUP:
            width, count = lookup_width(program, instruction), instruction.size
            lookups.setdefault(node, Counter())[width] += count
        elif _rounds_exactly(instruction):
            bits = int(instruction.attributes["lsbs"])
            width, count = 1, instruction.size * bits
            lookups.setdefault(node, Counter())
            rounded[node] += count
        else:
            continue
        cost = count * lookup_complexity(width, demand.get(width, 0.0))
        complexity[node] = complexity.get(node, 0.0) + cost
    return {
        node: NodeCost(counts, rounded[node], complexity[node]) for node, counts in lookups.items()
    }


def _rounds_exactly(instruction: Instruction) -> bool:
    return instruction.opcode is Opcode.ROUND and bool(instruction.attributes.get("exact", True))


def _demands(program: Program) -> dict[int, float]:
    """The greatest demand on results of lookups, by the width of those lookups."""
    noise: list[float] = []
    sources: list[frozenset[int]] = []
    demand: dict[int, float] = {}
    shared = shared_widths(program)

    def read(position: int, width: float) -> None:
        wanted = width + 0.5 * math.log2(max(noise[position], 1e-30))
        for source in sources[position]:
            demand[source] = max(demand.get(source, 0.0), wanted)

    for instruction in program.instructions:
        inputs = instruction.inputs
        behind = frozenset().union(*(sources[i] for i in inputs))
        before = [program.instructions[i] for i in inputs]
        noise.append(noise_after(instruction, before, [noise[i] for i in inputs]))
        if instruction.opcode is Opcode.LOOKUP:
            width = lookup_width(program, instruction)
            if before[0].opcode is Opcode.ROUND:
                read(inputs[0], width + (APPROXIMATE if before[0].lost_bits else 0.0))
            else:
                read(inputs[0], shared[inputs[0]])
            behind = frozenset({width})
        elif _rounds_exactly(instruction):
            # Each bit that is taken off is looked up and subtracted at full width.
            width = shared[inputs[0]]
            read(inputs[0], width)
            demand[1] = max(demand.get(1, 0.0), float(width))
            behind = behind | {1}
        sources.append(behind)
    for position in program.outputs:
        read(position, shared[position] - program.instructions[position].lost_bits)
    return demand


def noise_after(
    instruction: Instruction, sources: Sequence[Instruction], noise: Sequence[float]
) -> float:
    """Variance of the noise of an instruction's result, in variances of one lookup's result.

    Parameters
    ----------
    instruction : Instruction
        What is computed.
    sources : sequence of Instruction
        Those that it takes.
    noise : sequence of float
        The variance after each of them.
    """
    opcode, constants = instruction.opcode, instruction.constants
    if opcode is Opcode.INPUT:
        return _FRESH
    if opcode is Opcode.LOOKUP:
        return 1.0
    if _rounds_exactly(instruction):
        return noise[0] + float(instruction.attributes["lsbs"])
    if opcode is Opcode.MATMUL:
        return noise[0] * _largest(np.square(constants["weight"].astype(np.float64)).sum(axis=-2))
    if opcode is Opcode.CONV:
        weight = constants["weight"].astype(np.float64)
        return noise[0] * _largest(np.square(weight).reshape(len(weight), -1).sum(axis=1))
    if opcode is Opcode.MULTIPLY:
        return noise[0] * _largest(np.square(constants["operand"].astype(np.float64)))
    if opcode is Opcode.SUM:
        return noise[0] * max(sources[0].size / max(instruction.size, 1), 1.0)
    if opcode in (Opcode.ADD, Opcode.SUBTRACT):
        return sum(noise)
    return max(noise)


def _largest(values: np.ndarray) -> float:
    return float(values.max(initial=0.0))
