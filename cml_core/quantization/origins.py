"""Where elements of a register come from that has only been moved since."""

from __future__ import annotations

import math
from collections.abc import Container

import numpy as np

from cml_core.program.execute import apply_instruction
from cml_core.program.instructions import Opcode
from cml_core.program.rules import MOVES
from cml_core.quantization.builder import ProgramBuilder

__all__ = ["origin", "origins"]

#: Instructions that take each element of their result from one element of an operand.
_PICKS = MOVES - {Opcode.PAD}


def origin(
    builder: ProgramBuilder, position: int, known: Container[int]
) -> tuple[int, np.ndarray] | None:
    """Find the one register of some that all elements of a register are moved from.

    Parameters
    ----------
    builder : ProgramBuilder
        The program so far.
    position : int
        The register.
    known : container of int
        Positions of those that are looked for.

    Returns
    -------
    tuple of int and int array, or None
        Its position, and which of its elements, counted flat, each element of the register is.
    """
    instruction = builder.at(position)
    if position in known:
        return position, np.arange(math.prod(instruction.shape)).reshape(instruction.shape)
    if instruction.opcode not in _PICKS:
        return None
    places = []
    sources = set()
    for source in instruction.inputs:
        found = origin(builder, source, known)
        if found is None:
            return None
        sources.add(found[0])
        places.append(found[1][np.newaxis])
    if len(sources) != 1:
        return None
    (where,) = apply_instruction(instruction, places)
    return sources.pop(), where


def origins(
    builder: ProgramBuilder, position: int, known: Container[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Trace each element of a register back to what it is moved from, or to a register of some.

    Parameters
    ----------
    builder, position, known
        As in `origin`.

    Returns
    -------
    tuple of two int arrays of the register's shape
        The position of the register that each element is from, and which of its elements it is.
    """
    instruction = builder.at(position)
    if position in known or instruction.opcode not in _PICKS:
        where = np.arange(math.prod(instruction.shape)).reshape(instruction.shape)
        return np.full_like(where, position), where
    found = [origins(builder, source, known) for source in instruction.inputs]
    register, where = (
        apply_instruction(instruction, [each[k][np.newaxis] for each in found])[0] for k in (0, 1)
    )
    return register, where
