"""Transposed convolutions in float: ordinary ones, whose results are interleaved."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import attrs
import numpy as np

from cml_core.plugin_api import conv_nd
from cml_ops_builtin._shared.precision import widened
from cml_ops_builtin._shared.transposed_windows import Layout, divided

__all__ = ["Interleaving"]

#: Bytes of results that are computed at a time, so that they stay in a core's cache.
_CHUNK = 1 << 20


@attrs.frozen(slots=True, eq=False)
class Interleaving:
    """A transposed convolution whose filters are divided once, for images of any size.

    Parameters
    ----------
    parts : tuple of _Part
        The convolutions.
    maps : int
        Number of channels of the result.
    bias : array of shape (maps, 1, ...) or None
        Added to all of them.
    """

    parts: tuple[_Part, ...]
    maps: int
    bias: np.ndarray | None

    @classmethod
    def of(cls, w, b, group, strides, dilations) -> Interleaving:
        """Divide filters (C, M / group, *kernel)."""
        w, b = widened(w), None if b is None else widened(b)
        parts = []
        for phases, part in divided(w, group, strides, dilations):
            apart = tuple(p.dilation for p in phases)
            convolve = conv_nd(
                None,
                np.flip(part, axis=tuple(range(2, part.ndim))),
                b,
                strides=(1,) * len(phases),
                dilations=apart,
                group=group,
            )
            ends = tuple((n - 1) * d for n, d in zip(part.shape[2:], apart, strict=True))
            parts.append(_Part(convolve, tuple(p.start for p in phases), ends))
        bias = None if b is None else b.reshape(-1, *(1,) * (w.ndim - 2))
        return cls(tuple(parts), group * w.shape[1], bias)

    def __call__(self, x: np.ndarray, layout: Layout) -> np.ndarray:
        """Convolve with all parts, as many images at a time as a cache holds."""
        wide, size = widened(x), x.shape[2:]
        places = [part.place(size, layout) for part in self.parts]
        y = np.empty((len(x), self.maps, *layout.output), dtype=wide.dtype)
        if sum(place.count for place in places) < math.prod(layout.output):
            y[...] = 0 if self.bias is None else self.bias
        step = max(1, _CHUNK // max(y[:1].nbytes, 1))
        for start in range(0, len(x), step):
            some, out = wide[start : start + step], y[start : start + step]
            for part, place in zip(self.parts, places, strict=True):
                if place.count:
                    out[(..., *place.to)] = part.convolve(some, place.pads)[(..., *place.inside)]
        return y.astype(x.dtype, copy=False)


@attrs.frozen(slots=True, eq=False)
class _Part:
    """Filter elements that add to outputs a stride apart: an ordinary convolution.

    Parameters
    ----------
    convolve : callable
        What `conv_nd` makes of them.
    starts, ends : tuple of int
        The first output along each axis, and by how much windows reach over the images.
    """

    convolve: Callable[..., np.ndarray]
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def place(self, size: tuple[int, ...], layout: Layout) -> _Place:
        """Where the results for images of one size go."""
        return _place(self.starts, self.ends, size, layout.strides, layout.skip, layout.output)


@attrs.frozen(slots=True)
class _Place:
    """Where the results of a part go.

    Parameters
    ----------
    pads : tuple of int
        Zeros around the images; none for results that are cut off.
    inside, to : tuple of slice
        Which results are kept, and where they lie in the output.
    count : int
        How many these are in each channel.
    """

    pads: tuple[int, ...]
    inside: tuple[slice, ...]
    to: tuple[slice, ...]
    count: int


@functools.lru_cache(maxsize=256)
def _place(starts, ends, size, strides, skips, output):
    before, after, inside, to = [], [], [], []
    rows = zip(starts, ends, size, strides, skips, output, strict=True)
    for start, end, n, stride, skip, length in rows:
        low = max(0, -((start - skip) // stride))
        high = max(low, min(n + end, (skip + length - 1 - start) // stride + 1))
        cut = min(low, end)
        before.append(end - cut)
        after.append(end - min(max(0, n + end - high), end))
        inside.append(slice(low - cut, high - cut))
        first = start + low * stride - skip
        to.append(slice(first, first + (high - low - 1) * stride + 1, stride))
    count = math.prod(s.stop - s.start for s in inside)
    return _Place((*before, *after), tuple(inside), tuple(to), count)
