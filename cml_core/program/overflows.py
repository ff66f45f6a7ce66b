"""Integers that leave the interval which an instruction was compiled for."""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.program.instructions import Instruction, Interval

__all__ = ["Overflow", "Overflows", "contains", "may_leave", "note", "watch"]


@attrs.frozen(slots=True)
class Overflow:
    """Samples whose integers left the interval that an instruction was compiled for."""

    node: str
    samples: int
    low: int
    high: int


Overflows = list[Overflow] | None


def may_leave(instruction: Instruction) -> bool:
    """Whether some sample could leave an instruction's interval."""
    interval, proven = instruction.interval, instruction.proven
    return proven.low < interval.low or proven.high > interval.high


def contains(interval: Interval, values: np.ndarray) -> bool:
    """Whether all values are in an interval."""
    return values.size == 0 or bool(values.min() >= interval.low and values.max() <= interval.high)


def watch(interval: Interval, node: str, values: np.ndarray, overflows: Overflows) -> None:
    """Note samples `(N, *S)` with values outside an interval, if there are some."""
    if overflows is not None and not contains(interval, values):
        note(interval, node, (values < interval.low) | (values > interval.high), overflows)


def note(interval: Interval, node: str, left: np.ndarray, overflows: Overflows) -> None:
    """Note samples some of whose elements are marked as having left an interval."""
    if overflows is not None:
        count = int(left.reshape(len(left), -1).any(axis=1).sum())
        overflows.append(Overflow(node, count, interval.low, interval.high))
