"""One instruction on integers of any size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cml_core.program.instructions import Instruction
from cml_core.program.rules import MOVES, exact_dtype, largest, prepare, reach

__all__ = ["apply_instruction"]


def apply_instruction(instruction: Instruction, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Compute one instruction on integer arrays of shape `(N, *S)`; gives int64 ones.

    An instruction that only moves elements keeps their dtype.
    """
    if instruction.opcode in MOVES:
        return prepare(instruction, arrays[0].dtype)(arrays)
    dtype = exact_dtype(reach(instruction, list(map(largest, arrays)), arrays[0].shape[1:]))
    result = prepare(instruction, dtype)([array.astype(dtype, copy=False) for array in arrays])
    return result.astype(np.int64, copy=False)
