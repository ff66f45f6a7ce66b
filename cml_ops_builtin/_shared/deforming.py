"""Where a deformable convolution reads: between the elements of an image, at shifted places."""

from __future__ import annotations

import math

import attrs
import numpy as np

from cml_core.plugin_api import AttributeValueError
from cml_ops_builtin._shared.resizing import neighbours
from cml_ops_builtin._shared.windows import kernel_of, place_windows

__all__ = ["Reads", "reads_of"]


@attrs.frozen(slots=True, eq=False)
class Reads:
    """What each filter element of each output element reads.

    Parameters
    ----------
    output : tuple of int
        Spatial shape of the result, of P elements.
    kernel : int
        Number K of filter elements.
    taps : int array of shape (N, G, K * P, n)
        Elements of the flattened image, for each group of channels that share offsets.
    weights : float array of that shape
        Their weights.
    """

    output: tuple[int, ...]
    kernel: int
    taps: np.ndarray
    weights: np.ndarray

    def columns(self, x: np.ndarray) -> np.ndarray:
        """Read images (N, C, *spatial): (N, C, K, P)."""
        count, groups = self.taps.shape[:2]
        flat = x.reshape(count, groups, x.shape[1] // groups, math.prod(x.shape[2:]))
        total = np.zeros((*flat.shape[:3], self.taps.shape[2]), dtype=x.dtype)
        weights = self.weights.astype(x.dtype)
        for corner in range(self.taps.shape[3]):
            place = self.taps[:, :, np.newaxis, :, corner]
            total += np.take_along_axis(flat, place, axis=3) * weights[:, :, np.newaxis, :, corner]
        return total.reshape(*x.shape[:2], self.kernel, math.prod(self.output))

    def matrix(self, channels: int, size: int) -> np.ndarray:
        """Return the weights of all elements: (N, C, K, P, size)."""
        dense = np.zeros((*self.taps.shape[:3], size))
        own = np.ix_(*map(np.arange, self.taps.shape))[:3]
        np.add.at(dense, (*own, self.taps), self.weights)
        dense = dense.reshape(*dense.shape[:2], self.kernel, math.prod(self.output), size)
        return dense.repeat(channels // dense.shape[1], axis=1)


def reads_of(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    offset: np.ndarray,
    mask: np.ndarray | None,
    *,
    group: int,
    offset_group: int,
    kernel_shape=None,
    **attributes,
) -> Reads:
    """Check the shapes and attributes of a DeformConv and say what it reads.

    Raises
    ------
    AttributeValueError
        They do not fit together.
    """
    kernel = kernel_of(x_shape, w_shape, kernel_shape)
    count, channels, *size = x_shape
    if group < 1 or channels != w_shape[1] * group or w_shape[0] % group:
        expected = f"a divisor of {w_shape[0]} that makes {channels} of {w_shape[1]}"
        raise AttributeValueError("group", group, expected)
    if offset_group < 1 or channels % offset_group:
        raise AttributeValueError("offset_group", offset_group, f"a divisor of {channels}")
    windows = place_windows(size, kernel, **attributes)
    cells, rank = math.prod(kernel), len(kernel)
    shapes = [("offset", offset, rank)] + ([] if mask is None else [("mask", mask, 1)])
    for name, tensor, each in shapes:
        expected = (count, offset_group * cells * each, *windows.output)
        if tensor.shape != expected:
            raise AttributeValueError(f"shape of {name}", tensor.shape, str(expected))
    shifts = offset.astype(np.float64).reshape(count, offset_group, *kernel, rank, *windows.output)
    shifts = np.moveaxis(shifts, 2 + rank, 0)
    taps = np.zeros((*shifts.shape[1:], 1), dtype=np.int64)
    weights = np.ones(taps.shape)
    for axis, length in enumerate(size):
        own = [1] * (2 * rank)
        own[axis], own[rank + axis] = kernel[axis], windows.output[axis]
        near, share = neighbours(shifts[axis] + windows.positions(axis).T.reshape(own), "linear")
        share = np.where((near >= 0) & (near < length), share, 0.0)
        taps = taps[..., np.newaxis] * length + np.clip(near, 0, length - 1)[..., np.newaxis, :]
        weights = weights[..., np.newaxis] * share[..., np.newaxis, :]
        taps, weights = (a.reshape(*shifts.shape[1:], 2 ** (axis + 1)) for a in (taps, weights))
    if mask is not None:
        weights = weights * mask.astype(np.float64).reshape(*shifts.shape[1:], 1)
    shape = (count, offset_group, cells * math.prod(windows.output), 2**rank)
    taps, weights = taps.reshape(shape), weights.reshape(shape)
    return Reads(windows.output, cells, taps, weights)
