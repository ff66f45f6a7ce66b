"""A program as text, one instruction in a line, for people."""

from __future__ import annotations

from collections.abc import Iterator

from cml_core.program.instructions import Instruction, Program

__all__ = ["as_text"]


def as_text(program: Program) -> str:
    """Write a program out: results, what they are computed from, shapes, intervals and nodes.

    Parameters
    ----------
    program : Program
        The program.

    Returns
    -------
    str
        A line for each instruction and one for the outputs. Of constants it has shapes only.
    """
    rows = [
        (f"%{position}", "=", _call(step), _result(step), f"# {step.node}" if step.node else "")
        for position, step in enumerate(program.instructions)
    ]
    widths = [max((len(row[k]) for row in rows), default=0) for k in range(5)]
    lines = [
        " ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "return " + ", ".join(f"%{place}" for place in program.outputs)])


def _call(step: Instruction) -> str:
    return f"{step.opcode.value}({', '.join(_arguments(step))})"


def _arguments(step: Instruction) -> Iterator[str]:
    yield from (f"%{place}" for place in step.inputs)
    for name, array in step.constants.items():
        yield f"{name}=int{list(array.shape)}"
    for name, value in step.attributes.items():
        yield f"{name}={value!r}"


def _result(step: Instruction) -> str:
    low, high = step.interval.low, step.interval.high
    return f": {list(step.shape)} in {low}..{high}, {step.interval.width} bits"
