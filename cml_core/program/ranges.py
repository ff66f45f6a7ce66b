"""Interval arithmetic over instructions: what a result cannot leave."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from cml_core.program.execute import apply_instruction
from cml_core.program.instructions import Instruction, Opcode

__all__ = ["Bounds", "propagate"]


@attrs.frozen(slots=True, eq=False)
class Bounds:
    """Lowest and highest integer of every element, int64 arrays of a sample's shape."""

    low: np.ndarray
    high: np.ndarray


_SIGNED = frozenset({Opcode.MULTIPLY, Opcode.MATMUL, Opcode.CONV})


def propagate(instruction: Instruction, inputs: Sequence[Bounds]) -> Bounds:
    """Bounds of an instruction's result from those of its inputs, element by element."""
    if instruction.opcode is Opcode.LOOKUP:
        return _lookup(instruction, inputs[0])
    if instruction.opcode is Opcode.SUBTRACT:
        return Bounds(inputs[0].low - inputs[1].high, inputs[0].high - inputs[1].low)
    if instruction.opcode in _SIGNED:
        return _signed(instruction, inputs[0])
    # All others are monotone in every input.
    low = apply_instruction(instruction, [b.low[np.newaxis] for b in inputs])[0]
    high = apply_instruction(instruction, [b.high[np.newaxis] for b in inputs])[0]
    return Bounds(low, high)


def _signed(instruction: Instruction, x: Bounds) -> Bounds:
    """Split the constant by sign: a negative factor turns the order of bounds."""
    (name, constant), *_ = instruction.constants.items()
    up = attrs.evolve(instruction, constants={name: np.maximum(constant, 0)})
    down = attrs.evolve(instruction, constants={name: np.minimum(constant, 0)})
    low, high = x.low[np.newaxis], x.high[np.newaxis]
    return Bounds(
        (apply_instruction(up, [low]) + apply_instruction(down, [high]))[0],
        (apply_instruction(up, [high]) + apply_instruction(down, [low]))[0],
    )


def _lookup(instruction: Instruction, x: Bounds) -> Bounds:
    tables = instruction.constants["tables"]
    index = instruction.constants.get("index", np.zeros(instruction.shape, dtype=np.int64))
    low, high = tables.min(axis=1), tables.max(axis=1)
    return Bounds(low[index].astype(np.int64), high[index].astype(np.int64))
