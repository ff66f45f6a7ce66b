"""How a model input becomes integers, and decrypted integers become real values."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np

__all__ = ["InputCode", "OutputCode"]

#: Rounding error of the division by the scale, in steps.
_SLACK = 1e-3
#: How far a number of steps may be from a whole one to count as such.
_WHOLE = 1e-6
#: How far two numbers may differ, relatively, by float64's rounding alone.
_SAME = 1e-14


@attrs.frozen(slots=True, eq=False)
class InputCode:
    """How a model input becomes integers: `q = round((x - offset) / scale)` in `[0, levels)`.

    Where the scale is a float32, as those that a model brings are, and the offset a whole number of
    steps, it is taken off after rounding: so halves go to the even multiple of the scale, as they
    do where a model quantizes its input itself.

    Parameters
    ----------
    name : str
        The model's input.
    shape : tuple of int
        Shape of one sample.
    scale, offset : float or float64 array of the sample's shape
        Step and lowest value, of all elements or of each.
    levels : int
        Number of integers.
    clips : tuple of bool
        Whether the model itself clips what is below the lowest value, and above the highest.
    """

    name: str
    shape: tuple[int, ...]
    scale: float | np.ndarray
    offset: float | np.ndarray
    levels: int
    clips: tuple[bool, bool] = (False, False)

    @property
    def start(self) -> tuple[float | np.ndarray, float]:
        """Steps from zero to the lowest value: what is taken off before rounding, and after it."""
        steps = self.offset / self.scale
        if isinstance(steps, np.ndarray) or isinstance(self.scale, np.ndarray):
            return steps, 0.0
        if not _is_float32(self.scale):
            return steps, 0.0
        whole = float(np.rint(steps))
        return (0.0, whole) if abs(steps - whole) < _WHOLE else (steps, 0.0)

    @property
    def density(self) -> float | None:
        """Steps per unit, if float32 holds them exactly and not the scale: it decides halves.

        Pixels from 0 to 16 on 63 steps have 3.9375 of them; dividing by float32's 16/63 would
        turn halves, of which such data is full, into what its rounding error makes of them.
        """
        if isinstance(self.scale, np.ndarray) or _is_float32(self.scale):
            return None
        density = float(np.float32(1.0 / self.scale))
        return density if abs(density * self.scale - 1.0) < _SAME else None

    @property
    def suffix(self) -> str:
        """Nothing: an input has one such code."""
        return ""

    @property
    def outside(self) -> str:
        """What a value that is not calibrated for is, in words."""
        top = self.offset + self.scale * (self.levels - 1)
        if isinstance(top, np.ndarray):
            return "outside the range that is calibrated for each of its elements"
        # Zero is added as it turns a negative zero into zero.
        return f"outside the calibrated range [{self.offset + 0.0:g}, {top + 0.0:g}]"

    def precision(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """In which floats inputs of a dtype are quantized: float32 where it is exact enough."""
        offset, scale = np.asarray(self.offset), np.asarray(self.scale)
        farthest = np.maximum(np.abs(offset), np.abs(offset + scale * self.levels))
        error = np.max(farthest / scale + self.levels) * np.finfo(np.float32).eps
        narrow = dtype == np.float32 and error < _SLACK / 4
        return np.dtype(np.float32 if narrow else np.float64)

    def encode(self, samples: np.ndarray) -> tuple[np.ndarray, int]:
        """Integers for samples `(N, *S)`, held as floats; and how many had values out of range."""
        # One pass after another over the same memory.
        dtype = self.precision(samples.dtype)
        before, after = self.start
        if self.density is None:
            place = np.divide(samples, np.asarray(self.scale, dtype), dtype=dtype)
        else:
            place = np.multiply(samples, dtype.type(self.density), dtype=dtype)
        if np.any(before):
            place -= np.asarray(before, dtype)
        if place.size == 0:
            return place, 0
        outside = self._saturate(place, after)
        np.rint(place, out=place)
        if after:
            place -= dtype.type(after)
        return place, outside

    def _saturate(self, place: np.ndarray, first: float) -> int:
        """Move places to the nearest end; how many samples had some well outside, or NaN.

        What the model itself would have clipped does not count.
        """
        low, high, last = float(place.min()), float(place.max()), first + self.levels - 1
        count = 0
        # Half a step beyond the last integer is no further off than rounding is inside. NaN is
        # inside of nothing.
        least = -np.inf if self.clips[0] else first - 0.5 - _SLACK
        most = np.inf if self.clips[1] else last + 0.5 + _SLACK
        if not (low > least and high < most):
            inside = (place > least) & (place < most)
            size = place.size // len(place)
            count = len(np.unique(np.flatnonzero(~inside) // size))
            if np.isnan(low):
                place[np.isnan(place)] = first
        if not (low >= first and high <= last):
            np.maximum(place, first, out=place)
            np.minimum(place, last, out=place)
        return count


def _is_float32(number: float) -> bool:
    """Whether float32 holds a number exactly; NumPy 2 compares with a float32 as float32 does."""
    return float(np.float32(number)) == number


@attrs.frozen(slots=True, eq=False)
class OutputCode:
    """How a decrypted integer tensor becomes real values.

    Parameters
    ----------
    name : str
        Tensor of the graph.
    dtype : numpy.dtype
        What the float model has there.
    channel : int array of the sample's shape
        Which row of the parameters applies to each element.
    scale, offset : float64 arrays or None
        For an affine code, one entry per channel.
    table : float64 array of shape (channels, levels) or None
        Otherwise the values, from integer `low` on.
    low : int
        First integer of `table`.
    digits : int array of shape (D,) or None
        If integers are decrypted in digits, `(D, *S)`, what each of them counts.
    """

    name: str
    dtype: np.dtype[Any]
    channel: np.ndarray
    scale: np.ndarray | None = None
    offset: np.ndarray | None = None
    table: np.ndarray | None = None
    low: int = 0
    digits: np.ndarray | None = None

    @property
    def size(self) -> tuple[int, ...]:
        """Shape of what is decrypted for one sample."""
        return (
            self.channel.shape if self.digits is None else (*self.digits.shape, *self.channel.shape)
        )

    def decode(self, q: np.ndarray) -> np.ndarray:
        """Real values of integer samples `(N, *size)`, which may be held as floats."""
        if self.digits is not None:
            q = np.einsum("nd...,d->n...", q.astype(np.float64), self.digits.astype(np.float64))
        if self.table is not None:
            entry = q.astype(np.int64) - self.low
            np.clip(entry, 0, self.table.shape[1] - 1, out=entry)
            value: np.ndarray = self.table[self.channel, entry]
        else:
            assert self.scale is not None and self.offset is not None
            value = q.astype(np.float64)
            value *= self.scale[self.channel]
            value += self.offset[self.channel]
        if self.dtype.kind in "iu":
            value = np.rint(value)
        return value.astype(self.dtype)
