"""Observers: what is kept of a tensor's values during calibration, and the range it gives.

A range that leaves out rare values lets the integers inside be finer; what is outside saturates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import attrs
import numpy as np

from cml_core.errors import ConfigError

__all__ = [
    "OBSERVERS",
    "EntropyObserver",
    "HistogramObserver",
    "MinMaxObserver",
    "MovingAverageObserver",
    "MseObserver",
    "Observer",
    "PercentileObserver",
    "channel_ranges",
    "make_observer",
    "needs_bits",
]

_BINS = 2048
#: Ranges that are tried, as shares of the whole one.
_SHARES = np.linspace(1.0, 0.2, 65)


class Observer(Protocol):
    """Sees a tensor's values batch by batch and says which range to quantize."""

    def update(self, values: np.ndarray) -> None:
        """Take in one batch of values; those that are not finite do not count."""
        ...

    def range(self, bits: int) -> tuple[float, float]:
        """Lowest and highest value to represent with integers of so many bits.

        `(0.0, 0.0)` if nothing finite was seen.
        """
        ...


def _finite(values: np.ndarray) -> np.ndarray:
    """The finite values as float64, none of tensors that hold no numbers."""
    if values.dtype.kind not in "iufb":
        return np.zeros(0)
    values = values.astype(np.float64, copy=False).reshape(-1)
    return values if np.isfinite(values).all() else values[np.isfinite(values)]


@attrs.define(slots=True)
class MinMaxObserver:
    """The smallest and the largest finite value seen."""

    low: float = np.inf
    high: float = -np.inf

    def update(self, values: np.ndarray) -> None:
        """Take in one batch of values."""
        finite = _finite(values)
        if finite.size:
            self.low = min(self.low, float(finite.min()))
            self.high = max(self.high, float(finite.max()))

    def range(self, bits: int) -> tuple[float, float]:
        """Lowest and highest value seen."""
        return (self.low, self.high) if self.low <= self.high else (0.0, 0.0)


@attrs.define(slots=True)
class MovingAverageObserver:
    """Exponential moving averages of each batch's smallest and largest value.

    Single extreme batches count for less than with `MinMaxObserver`.

    Parameters
    ----------
    momentum : float
        Share of the average that a new batch leaves as it is.
    """

    momentum: float = 0.9
    ends: tuple[float, float] | None = None

    def update(self, values: np.ndarray) -> None:
        """Take in one batch of values."""
        finite = _finite(values)
        if finite.size == 0:
            return
        low, high = float(finite.min()), float(finite.max())
        if self.ends is not None:
            keep, new = self.momentum, 1.0 - self.momentum
            low, high = keep * self.ends[0] + new * low, keep * self.ends[1] + new * high
        self.ends = low, high

    def range(self, bits: int) -> tuple[float, float]:
        """The two averages."""
        return self.ends or (0.0, 0.0)


@attrs.define(slots=True)
class HistogramObserver:
    """Keeps a histogram whose range grows with the values; the others here choose from it.

    Parameters
    ----------
    low, high : float
        Ends of the histogram: the smallest and the largest value seen.
    counts : float64 array of shape (bins,)
        Values per bin.
    """

    low: float = np.inf
    high: float = -np.inf
    counts: np.ndarray = attrs.field(factory=lambda: np.zeros(_BINS))

    def update(self, values: np.ndarray) -> None:
        """Take in one batch of values."""
        finite = _finite(values)
        if finite.size == 0:
            return
        low, high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))
        if (low, high) != (self.low, self.high):
            if self.counts.any():
                self.counts = _histogram(self.centres(), low, high, self.counts)
            self.low, self.high = low, high
        self.counts = self.counts + _histogram(finite, low, high, None)

    def centres(self) -> np.ndarray:
        """The value in the middle of each bin."""
        width = (self.high - self.low) / _BINS
        middle: np.ndarray = self.low + width * (np.arange(_BINS) + 0.5)
        return middle

    def range(self, bits: int) -> tuple[float, float]:
        """Lowest and highest value to represent."""
        if not self.counts.any():
            return 0.0, 0.0
        if not self.low < self.high:
            return self.low, self.high
        return self._choose(bits)

    def _choose(self, bits: int) -> tuple[float, float]:
        return self.low, self.high

    def _shrunk(self, share: float) -> tuple[float, float]:
        """The range with both ends drawn towards zero, or towards the end nearest to it."""
        anchor = min(max(0.0, self.low), self.high)
        return anchor + share * (self.low - anchor), anchor + share * (self.high - anchor)


def _histogram(
    values: np.ndarray, low: float, high: float, weights: np.ndarray | None
) -> np.ndarray:
    counts, _ = np.histogram(
        values, bins=_BINS, range=(low, high if high > low else low + 1.0), weights=weights
    )
    return counts.astype(np.float64)


@attrs.define(slots=True)
class PercentileObserver(HistogramObserver):
    """Leaves out the same small share of values on both sides.

    Parameters
    ----------
    share : float
        Share of values inside the range.
    """

    share: float = 0.9995

    def _choose(self, bits: int) -> tuple[float, float]:
        below = np.cumsum(self.counts) / self.counts.sum()
        tail = (1.0 - self.share) / 2
        width = (self.high - self.low) / _BINS
        first = int(np.searchsorted(below, tail, side="right"))
        last = int(np.searchsorted(below, 1.0 - tail, side="left"))
        return self.low + width * first, self.low + width * min(last + 1, _BINS)


@attrs.define(slots=True)
class MseObserver(HistogramObserver):
    """The range with which integers of the given width make the least squared error.

    Clipping and rounding errors are weighed against each other (Banner et al. 2019,
    arXiv:1810.05723, section 3; here by search over the histogram).
    """

    def _choose(self, bits: int) -> tuple[float, float]:
        centres = self.centres()
        best, chosen = np.inf, (self.low, self.high)
        for share in _SHARES:
            low, high = self._shrunk(float(share))
            step = (high - low) / (2**bits - 1)
            rounded = low + step * np.clip(np.rint((centres - low) / step), 0, 2**bits - 1)
            error = float(np.sum(self.counts * np.square(rounded - centres)))
            if error < best * (1 - 1e-9):
                best, chosen = error, (low, high)
        return chosen


@attrs.define(slots=True)
class EntropyObserver(HistogramObserver):
    """The range whose integers lose least information.

    The histogram with what is outside put into its last bins is compared with the same
    histogram at the resolution of the integers, by Kullback-Leibler divergence (Migacz, "8-bit
    inference with TensorRT", GTC 2017).
    """

    def _choose(self, bits: int) -> tuple[float, float]:
        centres = self.centres()
        best, chosen = np.inf, (self.low, self.high)
        for share in _SHARES:
            low, high = self._shrunk(float(share))
            inside = (centres >= low) & (centres <= high)
            kept = self.counts[inside]
            if kept.size < 2**bits or not kept.any():
                continue
            clipped = kept.copy()
            clipped[0] += self.counts[centres < low].sum()
            clipped[-1] += self.counts[centres > high].sum()
            level = np.minimum(np.arange(kept.size) * 2**bits // kept.size, 2**bits - 1)
            total = np.bincount(level, weights=kept)
            filled = np.bincount(level, weights=(kept > 0).astype(np.float64))
            coarse = np.where(kept > 0, (total / np.maximum(filled, 1.0))[level], 0.0)
            p, q = clipped / clipped.sum(), coarse / coarse.sum()
            seen = p > 0
            divergence = float(np.sum(p[seen] * np.log(p[seen] / np.maximum(q[seen], 1e-12))))
            if divergence < best - 1e-12:
                best, chosen = divergence, (low, high)
        return chosen


#: The observers that `QuantConfig.observer` may name.
OBSERVERS: Mapping[str, Callable[[], Observer]] = {
    "minmax": MinMaxObserver,
    "moving-average": MovingAverageObserver,
    "percentile": PercentileObserver,
    "mse": MseObserver,
    "entropy": EntropyObserver,
}


def needs_bits(name: str) -> bool:
    """Whether the range that an observer chooses depends on the width of integers."""
    return OBSERVERS[name] in (MseObserver, EntropyObserver)


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


def channel_ranges(values: np.ndarray, observer: str, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Ranges of several channels by the same observer.

    Parameters
    ----------
    values : float array of shape (C, P)
        The values of each channel, in calibration order.
    observer : str
        Which observer.
    bits : int
        Width of the integers.

    Returns
    -------
    low, high : float64 arrays of shape (C,)
    """
    if observer == "minmax":
        return values.min(axis=1).astype(np.float64), values.max(axis=1).astype(np.float64)
    ranges = []
    for channel in values:
        watcher = make_observer(observer)
        watcher.update(channel)
        ranges.append(watcher.range(bits))
    low, high = np.array(ranges, dtype=np.float64).reshape(-1, 2).T
    return low, high
