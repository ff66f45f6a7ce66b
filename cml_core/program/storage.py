"""Integer programs as data: JSON for the instructions, one array file per constant."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from cml_core.program.instructions import Instruction, Interval, Opcode, Program
from cml_core.storage import array_bytes, read_array

__all__ = ["program_from_parts", "program_to_parts"]

_FILE = "program.json"


def program_to_parts(program: Program) -> dict[str, bytes]:
    """A program as named parts for a `.cml` file."""
    parts: dict[str, bytes] = {}
    rows = []
    for position, instruction in enumerate(program.instructions):
        constants = {}
        for name, array in instruction.constants.items():
            file = f"constants/{position}.{name}.npy"
            parts[file] = array_bytes(_compact(array))
            constants[name] = file
        rows.append(
            {
                "opcode": instruction.opcode.value,
                "inputs": instruction.inputs,
                "shape": instruction.shape,
                "interval": [instruction.interval.low, instruction.interval.high],
                "proven": [instruction.proven.low, instruction.proven.high],
                "attributes": dict(instruction.attributes),
                "constants": constants,
                "node": instruction.node,
            }
        )
    document = {"instructions": rows, "outputs": program.outputs}
    return {_FILE: json.dumps(document, indent=1).encode(), **parts}


def program_from_parts(parts: Mapping[str, bytes]) -> Program:
    """Read a program back; KeyError, ValueError or TypeError if the parts are not one."""
    document = json.loads(parts[_FILE])
    instructions = tuple(
        Instruction(
            Opcode(row["opcode"]),
            tuple(row["inputs"]),
            tuple(row["shape"]),
            Interval(*row["interval"]),
            Interval(*row["proven"]),
            {name: _tuples(value) for name, value in row["attributes"].items()},
            {
                name: read_array(parts[file]).astype(np.int64)
                for name, file in row["constants"].items()
            },
            row["node"],
        )
        for row in document["instructions"]
    )
    for position, instruction in enumerate(instructions):
        if not all(0 <= source < position for source in instruction.inputs):
            raise ValueError(f"instruction {position} takes its input from a later one")
    outputs = tuple(document["outputs"])
    if not all(0 <= position < len(instructions) for position in outputs):
        raise ValueError("an output is no instruction")
    return Program(instructions, outputs)


def _compact(array: np.ndarray) -> np.ndarray:
    if array.size == 0:
        return array
    dtype = np.promote_types(np.min_scalar_type(array.min()), np.min_scalar_type(array.max()))
    return array.astype(dtype)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
