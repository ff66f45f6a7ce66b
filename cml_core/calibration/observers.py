"""Observers: what is kept of a tensor's values during calibration, and the range it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import attrs
import numpy as np

from cml_core.errors import ConfigError

__all__ = ["OBSERVERS", "MinMaxObserver", "Observer", "make_observer"]


class Observer(Protocol):
    """Sees a tensor's values batch by batch and says which range to quantize."""

    def update(self, values: np.ndarray) -> None:
        """Take in one batch of values; those that are not finite do not count."""
        ...

    def range(self) -> tuple[float, float]:
        """Lowest and highest value to represent, `(0.0, 0.0)` if nothing finite was seen."""
        ...


@attrs.define(slots=True)
class MinMaxObserver:
    """The smallest and the largest finite value seen."""

    low: float = np.inf
    high: float = -np.inf

    def update(self, values: np.ndarray) -> None:
        """Take in one batch of values."""
        if values.size == 0 or values.dtype.kind not in "iufb":
            return
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            finite = values[np.isfinite(values)]
            if finite.size == 0:
                return
            low, high = float(finite.min()), float(finite.max())
        self.low, self.high = min(self.low, low), max(self.high, high)

    def range(self) -> tuple[float, float]:
        """Lowest and highest value seen."""
        return (self.low, self.high) if self.low <= self.high else (0.0, 0.0)


#: The observers that `QuantConfig.observer` may name.
OBSERVERS: Mapping[str, Callable[[], Observer]] = {"minmax": MinMaxObserver}


def make_observer(name: str) -> Observer:
    """Return a new observer by name.

    Raises
    ------
    ConfigError
        There is no such observer.
    """
    try:
        return OBSERVERS[name]()
    except KeyError:
        raise ConfigError("observer", name, f"one of {', '.join(sorted(OBSERVERS))}") from None
