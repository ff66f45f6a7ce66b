"""CalibrationStats: what calibration learned, and the recorder that gathers it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np

from cml_core.calibration.observers import Observer, make_observer

__all__ = ["CalibrationRecorder", "CalibrationStats", "TensorRange"]


@attrs.frozen(slots=True)
class TensorRange:
    """The range of one tensor on the calibration data."""

    low: float
    high: float


@attrs.frozen(slots=True, eq=False, repr=False)
class CalibrationStats:
    """What was seen of every tensor of a model on representative data.

    Parameters
    ----------
    ranges : mapping of str to TensorRange
        By tensor name, model inputs and outputs included.
    notes : mapping of str to mapping
        By node name, what the operator's calibration hook left.
    samples : mapping of str to array
        The calibration data itself, `(N, *S)` for each model input.
    """

    ranges: Mapping[str, TensorRange]
    notes: Mapping[str, Mapping[str, Any]]
    samples: Mapping[str, np.ndarray]


@attrs.define(slots=True, eq=False)
class CalibrationRecorder:
    """Where calibration keeps what it sees; a calibration hook gets it as its first argument.

    Parameters
    ----------
    observer : str
        Name of the observer to use for every tensor.
    bits : int
        Width of the integers that observers choose a range for.
    notes : dict
        For the hook of the current node: anything it wants to keep between batches and to find
        again as `ctx.notes` when the node is lowered.
    """

    observer: str = "minmax"
    bits: int = 8
    notes: dict[str, Any] = attrs.field(factory=dict)
    _observers: dict[str, Observer] = attrs.field(factory=dict, init=False)
    _by_node: dict[str, dict[str, Any]] = attrs.field(factory=dict, init=False)

    def observe(self, tensor: str, values: np.ndarray) -> None:
        """Add one batch of a tensor's values to what is known of it."""
        if tensor not in self._observers:
            self._observers[tensor] = make_observer(self.observer)
        self._observers[tensor].update(np.asarray(values))

    def turn_to(self, node: str) -> None:
        """Make `notes` those of the given node."""
        self.notes = self._by_node.setdefault(node, {})

    def finish(self, samples: Mapping[str, np.ndarray]) -> CalibrationStats:
        """Return what was gathered."""
        ranges = {name: TensorRange(*o.range(self.bits)) for name, o in self._observers.items()}
        notes = {name: MappingProxyType(kept) for name, kept in self._by_node.items() if kept}
        return CalibrationStats(
            MappingProxyType(ranges), MappingProxyType(notes), MappingProxyType(dict(samples))
        )
