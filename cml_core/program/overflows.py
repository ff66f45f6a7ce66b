"""Integers that leave the interval which an instruction was compiled for."""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.program.instructions import Instruction, Interval

__all__ = ["Overflow", "Overflows", "contains", "may_leave", "note", "watch"]


@attrs.frozen(slots=True)
class Overflow:
    """Samples whose integers left the interval that an instruction was compiled for.

    Parameters
    ----------
    node : str
        The node whose integers they are.
    places : tuple of int
        Which samples, in ascending order.
    low, high : int
        The interval.
    """

    node: str
    places: tuple[int, ...]
    low: int
    high: int

    @property
    def samples(self) -> int:
        """How many samples."""
        return len(self.places)


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
        places = np.flatnonzero(left.reshape(len(left), -1).any(axis=1))
        overflows.append(Overflow(node, tuple(places.tolist()), interval.low, interval.high))
