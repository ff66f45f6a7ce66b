"""Executing integer programs in NumPy, vectorised over samples.

A program is prepared once: its constants brought to one number type in which all of its integers
are exact, and instructions fused to fewer steps. What decides are proven intervals, which samples
cannot leave. Only integers that are given from outside can, and they are computed with care.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import numpy as np

from cml_core.program.apply import apply_instruction
from cml_core.program.instructions import Program
from cml_core.program.overflows import Overflow, Overflows, contains
from cml_core.program.plan import Plan, make_plan
from cml_core.program.rules import slices

__all__ = ["Overflow", "apply_instruction", "execute", "run_program", "slices"]

#: Programs that were run, ready for inputs in their intervals, and for any.
_PLANS: weakref.WeakKeyDictionary[Program, dict[bool, Plan]] = weakref.WeakKeyDictionary()


def execute(
    program: Program, inputs: Sequence[np.ndarray], overflows: Overflows = None
) -> list[np.ndarray]:
    """Run a program on integer samples.

    Parameters
    ----------
    program : Program
        What to run.
    inputs : sequence of integer arrays of shape (N, *S)
        One for each input instruction, in order.
    overflows : list, optional
        Gets an entry for every lookup and output that was left by some sample. A lookup
        saturates then; on encrypted integers the result would be undefined.

    Returns
    -------
    list of int64 arrays of shape (N, *S)
        One for each output.
    """
    results = run_program(program, inputs, overflows)
    return [array.astype(np.int64, copy=False) for array in results]


def run_program(
    program: Program, inputs: Sequence[np.ndarray], overflows: Overflows = None
) -> list[np.ndarray]:
    """Run as `execute` does; the integers that it returns may be held as floats."""
    inputs = [np.asarray(array) for array in inputs]
    intervals = [program.instructions[position].proven for position in program.inputs]
    known = all(map(contains, intervals, inputs))
    plans = _PLANS.setdefault(program, {})
    if known not in plans:
        plans[known] = make_plan(program, known)
    return plans[known].run(inputs, overflows)
