"""Array kernels that integer programs and float operators share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["conv_nd", "window_view"]


def window_view(
    x: np.ndarray,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int] | None = None,
) -> np.ndarray:
    """View sliding windows over the last `len(kernel)` axes, without copying.

    Parameters
    ----------
    x : array of shape (..., *spatial)
        Already padded.
    kernel, strides, dilations : sequence of int
        Per spatial axis.

    Returns
    -------
    array of shape (..., *output, *kernel)
        A read-only view.
    """
    rank = len(kernel)
    dilations = dilations or (1,) * rank
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    axes = tuple(range(x.ndim - rank, x.ndim))
    if any(size < span for size, span in zip(x.shape[-rank:], spans, strict=True)):
        raise ValueError(f"a kernel that spans {tuple(spans)} does not fit {x.shape[-rank:]}")
    windows = np.lib.stride_tricks.sliding_window_view(x, tuple(spans), axis=axes)  # type: ignore[call-overload]
    pick = (
        ...,
        *(slice(None, None, s) for s in strides),
        *(slice(None, None, d) for d in dilations),
    )
    view: np.ndarray = windows[pick]
    return view


def conv_nd(
    x: np.ndarray,
    weight: np.ndarray,
    *,
    strides: Sequence[int],
    dilations: Sequence[int],
    group: int,
    pads: Sequence[int] | None = None,
) -> np.ndarray:
    """Convolve (cross-correlate) in any number of spatial dimensions.

    Parameters
    ----------
    x : array of shape (N, C, *spatial)
        Images.
    weight : array of shape (M, C / group, *kernel)
        Filters.
    strides, dilations : sequence of int
        Per spatial axis.
    group : int
        Number of groups that channels divide into.
    pads : sequence of int, optional
        Zeros before each spatial axis, then after each.

    Returns
    -------
    array of shape (N, M, *output)
        One matrix product over unfolded windows; 1x1 kernels need no unfolding.
    """
    rank = weight.ndim - 2
    if pads is not None and any(pads):
        widths = [(0, 0), (0, 0), *((pads[i], pads[i + rank]) for i in range(rank))]
        x = np.pad(x, widths)
    count, channels = x.shape[:2]
    maps, depth = weight.shape[:2]
    kernel = weight.shape[2:]
    windows = window_view(x, kernel, strides, dilations)
    output = windows.shape[2 : 2 + rank]
    if group == channels and depth == 1 and maps == channels:
        axes = "".join(chr(ord("k") + i) for i in range(rank))
        depthwise: np.ndarray = np.einsum(f"nc...{axes},c{axes}->nc...", windows, weight[:, 0])
        return depthwise
    places = math.prod(output)
    # (N, group, depth, *output, *kernel) -> (N, group, depth * kernel, output)
    split = windows.reshape(count, group, depth, *output, *kernel)
    order = (0, 1, 2, *range(3 + rank, 3 + 2 * rank), *range(3, 3 + rank))
    columns = split.transpose(order).reshape(count, group, depth * math.prod(kernel), places)
    filters = weight.reshape(1, group, maps // group, -1)
    product: np.ndarray = np.matmul(filters, columns)
    return product.reshape(count, maps, *output)
