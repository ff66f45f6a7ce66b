"""What a program is made of, node by node: bit widths, lookups, predicted cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from cml_core.program.cost import program_cost
from cml_core.program.instructions import Instruction, Interval, Opcode, Program
from cml_core.quantization.diagnosis import Diagnosis

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
    bits_in, bits_out : int
        Widest integer that it takes from other nodes, and width of what it gives.
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
    share : float
        Its part of the whole program's predicted cost, 0 to 1.
    signal_to_noise : float or None
        Power of the float model's values over that of the error, in dB, on calibration data;
        None where there is no error to speak of, or nothing to compare with.
    """

    node: str
    instructions: int
    bits_in: int
    bits_out: int
    max_bit_width: int
    interval: Interval
    lookups: Mapping[int, int]
    rounded_bits: int
    complexity: float
    share: float = 0.0
    signal_to_noise: float | None = None

    @property
    def total_lookups(self) -> int:
        """Number of table lookups."""
        return sum(self.lookups.values())


@attrs.frozen(slots=True)
class ProgramReport:
    """A program's nodes and its totals.

    Parameters
    ----------
    nodes : tuple of NodeReport
        In program order.
    drawn_samples, overflowing_samples : int
        Samples drawn somewhat wider than the calibration data when the model was quantized, and
        those of them with which some integer left its range.
    """

    nodes: tuple[NodeReport, ...]
    drawn_samples: int = 0
    overflowing_samples: int = 0

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
            "drawn_samples": self.drawn_samples,
            "overflowing_samples": self.overflowing_samples,
            "nodes": [
                {
                    "node": node.node,
                    "instructions": node.instructions,
                    "bits_in": node.bits_in,
                    "bits_out": node.bits_out,
                    "max_bit_width": node.max_bit_width,
                    "interval": [node.interval.low, node.interval.high],
                    "lookups": {str(width): n for width, n in sorted(node.lookups.items())},
                    "rounded_bits": node.rounded_bits,
                    "predicted_complexity": node.complexity,
                    "share": node.share,
                    "signal_to_noise_db": node.signal_to_noise,
                }
                for node in self.nodes
            ],
        }


def report_program(program: Program, diagnosis: Diagnosis | None = None) -> ProgramReport:
    """Report a program node by node, in the order in which nodes first appear."""
    diagnosis = diagnosis or Diagnosis()
    costs = program_cost(program)
    total = sum(cost.complexity for cost in costs.values())
    by_node: dict[str, list[Instruction]] = {}
    for instruction in program.instructions:
        by_node.setdefault(instruction.node, []).append(instruction)
    rows = []
    for node, instructions in by_node.items():
        cost = costs.get(node)
        computed = [i for i in instructions if i.opcode is not Opcode.INPUT] or instructions
        taken = [program.instructions[source] for i in instructions for source in i.inputs]
        outside = [source.interval.width for source in taken if source.node != node]
        complexity = cost.complexity if cost else 0.0
        rows.append(
            NodeReport(
                node=node,
                instructions=len(instructions),
                bits_in=max(outside, default=instructions[0].interval.width),
                bits_out=computed[-1].interval.width,
                max_bit_width=max(i.interval.width for i in instructions),
                interval=computed[-1].interval,
                lookups=dict(cost.lookups) if cost else {},
                rounded_bits=cost.rounded_bits if cost else 0,
                complexity=complexity,
                share=complexity / total if total else 0.0,
                signal_to_noise=diagnosis.signal_to_noise.get(node),
            )
        )
    return ProgramReport(tuple(rows), diagnosis.drawn, diagnosis.overflowing)
