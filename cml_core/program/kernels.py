"""Array kernels that integer programs and float operators share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import overload

import numpy as np

from cml_core.program.unfolding import Source, check_fit, place_windows

__all__ = ["conv_nd", "window_view"]

#: Bytes that a convolution works on at a time, so that they stay in a core's second-level cache.
_CHUNK = 1 << 20
#: Products of numbers up to which OpenBLAS takes a product of matrices for a small one.
_SMALL = 1_000_000
#: Columns that it pays to multiply with at a time.
_FEWEST_COLUMNS = 96

#: Images (N, C, *spatial) and zeros before and after each spatial axis to (N, M, *output).
Convolve = Callable[[np.ndarray, Sequence[int] | None], np.ndarray]


def window_view(
    x: np.ndarray,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int] | None = None,
) -> np.ndarray:
    """View sliding windows over the last `len(kernel)` axes, without copying.

    Parameters
    ----------
    x : array of shape `(..., *spatial)`
        Already padded.
    kernel, strides, dilations : sequence of int
        Per spatial axis.

    Returns
    -------
    array of shape `(..., *output, *kernel)`
        A read-only view.
    """
    rank = len(kernel)
    dilations = dilations or (1,) * rank
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    axes = tuple(range(x.ndim - rank, x.ndim))
    check_fit(x.shape[-rank:], spans)
    windows = np.lib.stride_tricks.sliding_window_view(x, tuple(spans), axis=axes)  # type: ignore[call-overload]
    pick = (
        ...,
        *(slice(None, None, s) for s in strides),
        *(slice(None, None, d) for d in dilations),
    )
    view: np.ndarray = windows[pick]
    return view


@overload
def conv_nd(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    strides: Sequence[int],
    dilations: Sequence[int],
    group: int,
    pads: Sequence[int] | None = None,
) -> np.ndarray: ...


@overload
def conv_nd(
    x: None,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    strides: Sequence[int],
    dilations: Sequence[int],
    group: int,
) -> Convolve: ...


def conv_nd(
    x: np.ndarray | None,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    strides: Sequence[int],
    dilations: Sequence[int],
    group: int,
    pads: Sequence[int] | None = None,
) -> np.ndarray | Convolve:
    """Convolve (cross-correlate) in any number of spatial dimensions.

    Images are unfolded along all spatial axes but the first: along that one, what a row of a
    filter is multiplied with is a slice of the same unfolded array, whichever row it is. So an
    element is copied as often as a filter has columns, not elements, and images that are as
    their windows need them (those of 1x1 filters are) are not copied at all. There is a matrix
    product for each row of the filters, and their sum. Where there are many more filters than
    channels, that sum would take longer than copies: then the slices are put below each other,
    for one product.

    This is done for so many images, groups or output rows at a time as a cache holds. Groups are
    one more axis of the stacks of matrices that are multiplied, so depthwise filters need no path
    of their own.

    Parameters
    ----------
    x : array of shape `(N, C, *spatial)`, or None
        Images.
    weight : array of shape `(M, C / group, *kernel)`
        Filters.
    bias : array of shape (M,), optional
        Added to the results of each filter.
    strides, dilations : sequence of int
        Per spatial axis.
    group : int
        Number of groups that channels divide into.
    pads : sequence of int, optional
        Zeros before each spatial axis, then after each.

    Returns
    -------
    array of shape (N, M, *output)
        Without x, the function `(x, pads) -> array`, which has filters laid out already.
    """
    maps, channels, *kernel = weight.shape
    each, columns = maps // group, math.prod(kernel[1:])
    filters = weight.reshape(group, each, channels, kernel[0], columns)
    # To (rows, group, M / group, columns * C / group).
    filters = filters.transpose(3, 0, 1, 4, 2).reshape(kernel[0], group, each, columns * channels)
    # For each output element, a copy reads and writes; a sum reads twice and writes, after a
    # product that wrote.
    if kernel[0] * columns * channels < 2 * (kernel[0] - 1) * each:
        filters = filters.transpose(1, 2, 0, 3).reshape(1, group, each, -1)
    convolve = functools.partial(
        _convolve,
        np.ascontiguousarray(filters),
        None if bias is None else bias.reshape(group, each, 1),
        (tuple(kernel), tuple(strides), tuple(dilations)),
    )
    return convolve if x is None else convolve(x, pads)


def _convolve(
    filters: np.ndarray,
    bias: np.ndarray | None,
    windows: tuple[tuple[int, ...], ...],
    x: np.ndarray,
    pads: Sequence[int] | None = None,
) -> np.ndarray:
    """Convolve with filters of shape (steps, group, M / group, depth); one step if stacked."""
    pads = (0,) * (2 * len(windows[0])) if pads is None else tuple(pads)
    place = place_windows(x.shape[2:], *windows, pads)
    (steps, group, maps, depth), (height, *rest) = filters.shape, place.output
    count, width, dtype = len(x), math.prod(rest), np.result_type(x, filters)
    shape = count, group, x.shape[1] // group, *x.shape[2:]
    x = x.astype(dtype, copy=False).reshape(shape)
    y = np.empty((count, group, maps, height * width), dtype)
    if not y.size:
        return y.reshape(count, group * maps, *place.output)
    is_stacked = steps < len(place.starts)
    scratch = depth if is_stacked else maps * (steps > 1)
    elements = place.unfolded(shape[2], height) + (maps + scratch) * height * width
    images, groups, rows = _parts((count, group, height), elements, _CHUNK // dtype.itemsize)
    spare = np.empty((images, groups, scratch, rows * width), dtype)
    source = Source.of(place, x, (images, groups, rows))
    for i in range(0, count, images):
        for j in range(0, group, groups):
            for row in range(0, height, rows):
                # The last rows are as many as the others, for which room was made.
                row = min(row, height - rows)
                some = slice(i, i + images), slice(j, j + groups)
                out = y[(*some, slice(None), slice(row * width, (row + rows) * width))]
                free = spare[: out.shape[0], : out.shape[1]]
                slices = source.slices(some, row)
                if is_stacked:
                    slices = [np.concatenate(slices, axis=2, out=free)]
                _multiply(filters[0, some[1]], slices[0], out)
                for step in range(1, steps):
                    _multiply(filters[step, some[1]], slices[step], free)
                    np.add(out, free, out=out)
                if bias is not None:
                    np.add(out, bias[some[1]], out=out)
    return y.reshape(count, group * maps, *place.output)


def _multiply(filters: np.ndarray, columns: np.ndarray, out: np.ndarray) -> None:
    """Multiply filters (group, M, D) with columns (N, group, D, L)."""
    pieces = _pieces(filters.shape[-2] * filters.shape[-1], columns.shape[-1])
    if pieces > 1:
        columns, out = (
            array.reshape(*array.shape[:-1], pieces, -1).swapaxes(-3, -2)
            for array in (columns, out)
        )
        filters = filters[:, np.newaxis]
    np.matmul(filters, columns, out=out)


@functools.lru_cache(maxsize=1024)
def _pieces(filters: int, columns: int) -> int:
    """How many equal pieces of columns to multiply filters of so many elements with.

    OpenBLAS multiplies small matrices as they are (AVX-512 only), others it copies first. For a
    few small filters that is not worth it: 32 x 96 times 96 x 1024 takes 0.65 of the time in
    pieces. One piece if they would be too narrow.
    """
    for pieces in range(1, columns // _FEWEST_COLUMNS + 1):
        if columns % pieces == 0 and filters * columns <= _SMALL * pieces:
            return pieces
    return 1


def _parts(sizes: tuple[int, int, int], elements: int, limit: int) -> tuple[int, int, int]:
    """How many images, groups and output rows to take at a time.

    As many images as fit into a limit; else as many groups of one; else as many rows of that.

    Parameters
    ----------
    sizes : tuple of int
        How many there are.
    elements : int
        How many elements one group of one image takes.
    """
    count, group, height = sizes
    if elements > limit:
        # All parts are of one size, so they overlap by as little as they can.
        parts = min(height, -(-elements // limit))
        return 1, 1, -(-height // parts)
    groups = min(group, limit // elements)
    return (min(count, max(1, limit // (elements * group))), groups, height)
