"""What a program is made of, node by node: bit widths, lookups, predicted cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from cml_core.program.cost import program_cost
from cml_core.program.instructions import Interval, Opcode, Program

__all__ = ["NodeReport", "ProgramReport", "report_program"]


@attrs.frozen(slots=True)
class NodeReport:
    """One node of the model as the server computes it, for one sample.

    Parameters
    ----------
    node : str
        The node's name.
    instructions : int
        Integer instructions that it became.
    max_bit_width : int
        Widest integer in bits.
    interval : Interval
        What its last instruction gives.
    lookups : mapping of int to int
        Table lookups by the width in bits that enters the table.
    rounded_bits : int
        Low bits taken off by exact rounding, each a small bootstrap of its own.
    complexity : float
        Predicted cost, in the unit of Concrete's optimizer.
    """

    node: str
    instructions: int
    max_bit_width: int
    interval: Interval
    lookups: Mapping[int, int]
    rounded_bits: int
    complexity: float

    @property
    def total_lookups(self) -> int:
        """Number of table lookups."""
        return sum(self.lookups.values())


@attrs.frozen(slots=True)
class ProgramReport:
    """A program's nodes and its totals."""

    nodes: tuple[NodeReport, ...]

    @property
    def lookups(self) -> int:
        """Table lookups for one sample."""
        return sum(node.total_lookups for node in self.nodes)

    @property
    def max_bit_width(self) -> int:
        """Widest integer in bits."""
        return max((node.max_bit_width for node in self.nodes), default=0)

    @property
    def complexity(self) -> float:
        """Predicted cost for one sample."""
        return sum(node.complexity for node in self.nodes)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        return {
            "lookups": self.lookups,
            "max_bit_width": self.max_bit_width,
            "predicted_complexity": self.complexity,
            "nodes": [
                {
                    "node": node.node,
                    "instructions": node.instructions,
                    "max_bit_width": node.max_bit_width,
                    "interval": [node.interval.low, node.interval.high],
                    "lookups": {str(width): n for width, n in sorted(node.lookups.items())},
                    "rounded_bits": node.rounded_bits,
                    "predicted_complexity": node.complexity,
                }
                for node in self.nodes
            ],
        }


def report_program(program: Program) -> ProgramReport:
    """Report a program node by node, in the order in which nodes first appear."""
    costs = program_cost(program)
    by_node: dict[str, list[Any]] = {}
    for instruction in program.instructions:
        by_node.setdefault(instruction.node, []).append(instruction)
    rows = []
    for node, instructions in by_node.items():
        cost = costs.get(node)
        computed = [i for i in instructions if i.opcode is not Opcode.INPUT] or instructions
        rows.append(
            NodeReport(
                node,
                len(instructions),
                max(i.interval.width for i in instructions),
                computed[-1].interval,
                dict(cost.lookups) if cost else {},
                cost.rounded_bits if cost else 0,
                cost.complexity if cost else 0.0,
            )
        )
    return ProgramReport(tuple(rows))
