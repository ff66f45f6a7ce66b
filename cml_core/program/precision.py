"""Which instructions of a circuit share a width, and what it is.

Additions and products by clear integers are exact modulo a power of two, so an intermediate result
may be wider than what is finally looked up, rounded or decrypted: only these decide the width of
all leveled instructions that are connected.
"""

from __future__ import annotations

from cml_core.program.instructions import LEVELED, Program

__all__ = ["shared_widths", "values_that_count"]


def values_that_count(program: Program) -> set[int]:
    """Positions of results that are looked up, rounded, encrypted or decrypted."""
    found = set(program.outputs)
    for position, instruction in enumerate(program.instructions):
        if instruction.opcode not in LEVELED:
            found.update((position, *instruction.inputs))
    return found


def shared_widths(program: Program) -> list[int]:
    """The width of each instruction's result: of the widest that counts of those connected."""
    instructions = program.instructions
    parent = list(range(len(instructions)))

    def root(position: int) -> int:
        while parent[position] != position:
            parent[position] = parent[parent[position]]
            position = parent[position]
        return position

    for position, instruction in enumerate(instructions):
        if instruction.opcode in LEVELED:
            for source in instruction.inputs:
                parent[root(source)] = root(position)
    width = [1] * len(instructions)
    for position in values_that_count(program):
        width[root(position)] = max(width[root(position)], instructions[position].interval.width)
    return [width[root(position)] for position in range(len(instructions))]
