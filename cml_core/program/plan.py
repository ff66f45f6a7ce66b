"""A program made ready to run: what is computed, in which order, and in which number type.

A plan is made from the outputs backwards, so that what is fused into another step is only computed
on its own where something else needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs
import numpy as np

from cml_core.program.apply import apply_instruction
from cml_core.program.fusing import fuse_lookup, fuse_product
from cml_core.program.instructions import Instruction, Opcode, Program
from cml_core.program.overflows import Overflows, may_leave, note, watch
from cml_core.program.rules import exact_dtype, flattened, prepare, program_reach

__all__ = ["Plan", "make_plan"]

#: The result of an instruction, or the elements of it at some positions (as bytes).
Key = tuple[int, bytes]
#: The same, with the positions themselves, or None for the whole result.
Wanted = tuple[int, np.ndarray | None]
Compute = Callable[[Sequence[np.ndarray], Overflows], np.ndarray]


@attrs.frozen(slots=True, eq=False)
class Step:
    """One step: what it makes, from what, and what nothing needs after it."""

    key: Key
    inputs: tuple[Key, ...]
    compute: Compute
    dead: tuple[Key, ...] = ()


@attrs.frozen(slots=True, eq=False)
class Plan:
    """A program ready to run on arrays of a dtype."""

    dtype: np.dtype[Any]
    inputs: tuple[Key, ...]
    steps: tuple[Step, ...]
    outputs: tuple[Key, ...]
    watched: tuple[tuple[Key, Instruction], ...]

    def run(self, inputs: Sequence[np.ndarray], overflows: Overflows) -> list[np.ndarray]:
        """The program's outputs, of the plan's dtype."""
        values = {
            key: array.astype(self.dtype, copy=False)
            for key, array in zip(self.inputs, inputs, strict=True)
        }
        for step in self.steps:
            arrays = [values[key] for key in step.inputs]
            values[step.key] = step.compute(arrays, overflows)
            for key in step.dead:
                del values[key]
        for key, instruction in self.watched:
            watch(instruction.interval, instruction.node, values[key], overflows)
        return [values[key] for key in self.outputs]


def make_plan(program: Program, known: bool) -> Plan:
    """Make a program ready.

    Parameters
    ----------
    program : Program
        The program.
    known : bool
        Whether its inputs will be in their intervals. If not, nothing is fused, and each
        instruction is computed in a type that is chosen for the integers that meet it.
    """
    planner = _Planner(program, exact_dtype(program_reach(program)) if known else None)
    wanted: dict[int, dict[bytes, np.ndarray | None]] = {}

    def want(position: int, where: np.ndarray | None = None) -> Key:
        tag = b"" if where is None else where.tobytes()
        wanted.setdefault(position, {})[tag] = where
        return position, tag

    outputs = tuple(want(position) for position in program.outputs)
    steps: list[Step] = []
    for position in range(len(program.instructions) - 1, -1, -1):
        # Elements of a result first: they may be picked from the whole of it.
        while wanted.get(position):
            tag = max(wanted[position], key=len)
            where = wanted[position].pop(tag)
            if where is None and program.instructions[position].opcode is Opcode.INPUT:
                continue
            sources, compute = planner.step(position, where)
            inputs = tuple(want(*source) for source in sources)
            steps.append(Step((position, tag), inputs, compute))
    made = [program.instructions[position] for position in program.outputs]
    watched = [(key, i) for key, i in zip(outputs, made, strict=True) if not known or may_leave(i)]
    return Plan(
        np.dtype(np.int64) if planner.dtype is None else planner.dtype,
        tuple((position, b"") for position in program.inputs),
        _with_ends(steps, outputs),
        outputs,
        tuple(watched),
    )


def _with_ends(steps: Sequence[Step], outputs: Sequence[Key]) -> tuple[Step, ...]:
    """Put steps in order, last one first, each with what nothing needs after it."""
    later = set(outputs)
    ended = []
    for step in steps:
        ended.append(attrs.evolve(step, dead=tuple(set(step.inputs) - later)))
        later.update(step.inputs)
    return tuple(reversed(ended))


def _of_one(function: Callable[[np.ndarray], np.ndarray]) -> Compute:
    return lambda arrays, overflows: function(arrays[0])


def _pick(where: np.ndarray, x: np.ndarray) -> np.ndarray:
    return flattened(x).take(where, axis=1)


@attrs.frozen(slots=True, eq=False)
class _Planner:
    """Decides how an instruction is computed; `dtype` is None for integers of any size."""

    program: Program
    dtype: np.dtype[Any] | None

    def step(self, position: int, where: np.ndarray | None) -> tuple[list[Wanted], Compute]:
        """Which results a step takes (and which of their elements), and how it is computed."""
        instruction = self.program.instructions[position]
        if self.dtype is not None and instruction.opcode in (Opcode.MATMUL, Opcode.CONV):
            product = fuse_product(self.program, position, where, self.dtype)
            if product is not None:
                return [(product.source, None)], _of_one(product)
        if where is not None:
            return [(position, None)], _of_one(partial(_pick, where))
        if instruction.opcode is Opcode.LOOKUP:
            return self._lookup(position)
        kernel = self._kernel(position)
        sources: list[Wanted] = [(source, None) for source in instruction.inputs]
        return sources, lambda arrays, overflows: kernel(arrays)

    def _lookup(self, position: int) -> tuple[list[Wanted], Compute]:
        instruction = self.program.instructions[position]
        source, node = self.program.instructions[instruction.inputs[0]], instruction.node
        fused = None if self.dtype is None else fuse_lookup(self.program, position, self.dtype)
        if fused is not None:
            lookup = fused

            def look_up(arrays: Sequence[np.ndarray], overflows: Overflows) -> np.ndarray:
                values, left = lookup(arrays[0])
                if left is not None:
                    note(source.interval, node, left, overflows)
                return values

            return [(lookup.source, lookup.where)], look_up
        kernel = self._kernel(position)
        watched = self.dtype is None or may_leave(source)

        def watch_and_look_up(arrays: Sequence[np.ndarray], overflows: Overflows) -> np.ndarray:
            if watched:
                watch(source.interval, node, arrays[0], overflows)
            return kernel(arrays)

        return [(instruction.inputs[0], None)], watch_and_look_up

    def _kernel(self, position: int) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
        instruction = self.program.instructions[position]
        if self.dtype is None:
            return lambda arrays: apply_instruction(instruction, arrays)
        return prepare(instruction, self.dtype)
