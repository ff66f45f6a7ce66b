"""Unfolding images for a convolution: what filters are multiplied with, as matrices.

Images are unfolded along all spatial axes but the first. Along that one, what a row of a filter
is multiplied with is a slice of the same unfolded array, whichever row it is: of the lines whose
numbers leave the same remainder as the row's, divided by the stride.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import attrs
import numpy as np

__all__ = ["Place", "Source", "check_fit", "place_windows"]

_ALL = slice(None)


def check_fit(size: Sequence[int], spans: Sequence[int]) -> None:
    """Refuse windows that are larger than the images."""
    if any(n < span for n, span in zip(size, spans, strict=True)):
        raise ValueError(f"a kernel that spans {tuple(spans)} does not fit {tuple(size)}")


@attrs.frozen(slots=True, eq=False)
class Place:
    """Where the windows of a convolution lie in images of one size.

    Parameters
    ----------
    size, output : tuple of int
        Spatial sizes of the images and of the results.
    stride, before : int
        Of the first spatial axis, and its zeros before the images.
    phases : tuple of int
        Remainders, by the stride, of the lines that the rows of a filter begin with.
    starts : tuple of tuple of int
        For each row of a filter, its phase's place among those, and the first line there.
    halo : int
        The largest of these lines.
    moves : tuple of tuple
        For each column of a filter (an element of it along the other axes): its number, which
        outputs along those axes have an input there, and which one.
    is_plain : bool
        Whether the images are unfolded as they are.
    """

    size: tuple[int, ...]
    output: tuple[int, ...]
    stride: int
    before: int
    phases: tuple[int, ...]
    starts: tuple[tuple[int, int], ...]
    halo: int
    moves: tuple[tuple[int, tuple[slice, ...], tuple[slice, ...]], ...]
    is_plain: bool

    def lines(self, rows: int) -> int:
        """How many lines of each phase so many output rows need."""
        return rows + self.halo

    def unfolded(self, channels: int, rows: int) -> int:
        """How many elements copies take for so many output rows of a group of an image."""
        if self.is_plain:
            return 0
        lines = len(self.phases) * self.lines(rows)
        return lines * math.prod(self.output[1:]) * channels * len(self.moves)


@functools.lru_cache(maxsize=256)
def place_windows(
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pads: tuple[int, ...],
) -> Place:
    """Place windows over images that have zeros around them."""
    rank = len(kernel)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    whole = [n + b + a for n, b, a in zip(size, pads[:rank], pads[rank:], strict=True)]
    check_fit(whole, spans)
    output = [(n - e) // s + 1 for n, e, s in zip(whole, spans, strides, strict=True)]
    rows = [divmod(row * dilations[0], strides[0])[::-1] for row in range(kernel[0])]
    phases = sorted({phase for phase, _ in rows})
    axes = [
        [
            _covered(size[axis], output[axis], strides[axis], column * dilations[axis] - pads[axis])
            for column in range(kernel[axis])
        ]
        for axis in range(1, rank)
    ]
    moves = [
        (number, tuple(to for to, _ in pairs), tuple(source for _, source in pairs))
        for number, pairs in enumerate(itertools.product(*axes))
    ]
    return Place(
        size,
        tuple(output),
        strides[0],
        pads[0],
        tuple(phases),
        tuple((phases.index(phase), line) for phase, line in rows),
        max(line for _, line in rows),
        tuple(moves),
        strides[0] == 1 and {*kernel[1:], *strides[1:]} <= {1} and not any(pads),
    )


def _covered(size: int, output: int, stride: int, first: int) -> tuple[slice, slice]:
    """Which outputs have an input, output `i` at `first + i * stride`, and which inputs these are.

    Both slices are empty if there are none.
    """
    low = max(0, -(first // stride))
    high = max(low, min(output, (size - 1 - first) // stride + 1))
    start = first + low * stride
    if low == high:
        return slice(0, 0), slice(0, 0)
    return slice(low, high), slice(start, start + (high - low - 1) * stride + 1, stride)


@attrs.frozen(slots=True, eq=False)
class Source:
    """What filters are multiplied with, for a part of the images at a time.

    Parameters
    ----------
    place : Place
        Where windows lie.
    x : array of shape (N, group, C / group, *spatial)
        The images.
    flat : array of shape (N or fewer, group or fewer, columns * C / group, lines)
        The images as they are, or what they are unfolded into.
    buffer : array or None
        The latter with an axis for each of columns, channels, phases, lines, and the other axes.
    rows : int
        Output rows of a part.
    """

    place: Place
    x: np.ndarray
    flat: np.ndarray
    buffer: np.ndarray | None
    rows: int

    @classmethod
    def of(cls, place: Place, x: np.ndarray, part: tuple[int, int, int]) -> Source:
        """Make room for parts of so many images, groups and output rows."""
        images, groups, rows = part
        if place.is_plain:
            return cls(place, x, x.reshape(*x.shape[:3], -1), None, rows)
        inner = len(place.phases), place.lines(rows), *place.output[1:]
        # What is not written to are the zeros around the images.
        buffer = np.zeros((images, groups, len(place.moves), x.shape[2], *inner), x.dtype)
        return cls(place, x, buffer.reshape(images, groups, -1, math.prod(inner)), buffer, rows)

    def slices(self, some: tuple[slice, slice], row: int) -> list[np.ndarray]:
        """For each row of the filters, what it is multiplied with from an output row on."""
        place, flat = self.place, self.flat
        width = math.prod(place.output[1:])
        if self.buffer is None:
            flat, lines = flat[some], 0
        else:
            part, lines, row, first = self.x[some], place.lines(self.rows), 0, row
            flat, buffer = (a[: part.shape[0], : part.shape[1]] for a in (flat, self.buffer))
            self._unfold(part, buffer, first)
        starts = [(phase * lines + line + row) * width for phase, line in place.starts]
        return [flat[..., start : start + self.rows * width] for start in starts]

    def _unfold(self, part: np.ndarray, buffer: np.ndarray, row: int) -> None:
        """Copy what output rows need; on a line beyond the images, write the zeros again."""
        place, lines = self.place, buffer.shape[5]
        for number, phase in enumerate(place.phases):
            first = phase + row * place.stride - place.before
            inside, source = _covered(place.size[0], lines, place.stride, first)
            if self.rows < place.output[0]:
                buffer[:, :, :, :, number, : inside.start] = 0
                buffer[:, :, :, :, number, inside.stop :] = 0
            for column, to, origin in place.moves:
                buffer[(_ALL, _ALL, column, _ALL, number, inside, *to)] = part[
                    (_ALL, _ALL, _ALL, source, *origin)
                ]
