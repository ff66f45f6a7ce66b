"""Bringing encrypted tensors onto affine grids, with a lookup only where one is needed."""

from __future__ import annotations

import numpy as np

from cml_core.quantization.affine import AffineView, affine_view, channel_bounds, is_uniform, level
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.encrypted import EncryptedTensor
from cml_core.quantization.lookup import Grid, lookup

__all__ = ["affine", "choose_grid", "requantize"]

#: Widest integers that are multiplied by weights when a lookup follows; wider ones are requantized.
_WIDEST_FACTOR = 10


def affine(
    ctx: LoweringContext,
    tensor: EncryptedTensor,
    *,
    bits: int | None = None,
    varying: tuple[int, ...] | None = None,
) -> AffineView:
    """Return a tensor on an affine grid, requantized by a lookup only if it is not on one.

    Parameters
    ----------
    ctx : LoweringContext
        The node being lowered.
    tensor : EncryptedTensor
        What is wanted on a grid.
    bits : int, optional
        Width to requantize to, by default the node's activation width.
    varying : tuple of int, optional
        Axes along which the scale may vary; by default all.
    """
    view = affine_view(tensor)
    if view is not None and varying is not None:
        view = level(view, varying)
    if view is not None and is_uniform(view.scale, varying) and not _too_wide(ctx, tensor):
        return view
    view = affine_view(requantize(ctx, tensor, bits=bits))
    assert view is not None  # a lookup's own result is on its grid
    return view


def _too_wide(ctx: LoweringContext, tensor: EncryptedTensor) -> bool:
    """Whether a product of these integers would be too wide for the lookup that follows it."""
    return ctx.feeds_lookup and tensor.register.interval.width > _WIDEST_FACTOR


def choose_grid(ctx: LoweringContext, tensor: EncryptedTensor, bits: int) -> Grid:
    """Choose the grid of at most `2**bits` values that fits a tensor's range.

    A tensor of few values (a boolean, a sign, small integers) gets a grid that holds them
    exactly, in the bits they need. Zero is on the grid whenever it is in the range.
    """
    exact = _exact_grid(tensor, bits)
    if exact is not None:
        return exact
    low, high = ctx.value_range(tensor)
    if not low < high:
        return Grid(1.0, low, 1)
    scale = (high - low) / (2**bits - 1)
    if low <= 0.0 <= high:
        low = -scale * round(-low / scale)
    return Grid(scale, low, 2**bits)


def _exact_grid(tensor: EncryptedTensor, bits: int) -> Grid | None:
    interval = tensor.register.interval
    if (interval.high - interval.low + 1) * tensor.decode.channels > 2**20:
        return None
    low, high = channel_bounds(tensor)
    q = np.arange(interval.low, interval.high + 1)
    value = tensor.decode(q[np.newaxis], np.arange(tensor.decode.channels)[:, np.newaxis])
    real = value.astype(np.float64)
    met = (q >= low[:, np.newaxis]) & (q <= high[:, np.newaxis]) & np.isfinite(real)
    levels = np.unique(real[met])
    if levels.size == 0 or levels.size > 2**bits:
        return None
    if levels.size == 1:
        return Grid(1.0, levels[0], 1)
    step = np.diff(levels).min()
    places = (levels - levels[0]) / step
    count = int(np.rint(places[-1])) + 1
    if count > 2**bits or np.abs(places - np.rint(places)).max() > 1e-6:
        return None
    return Grid(step, levels[0], count)


def requantize(
    ctx: LoweringContext, tensor: EncryptedTensor, *, bits: int | None = None
) -> EncryptedTensor:
    """Bring a tensor onto the grid that fits its range, by one lookup per element.

    Parameters
    ----------
    bits : int, optional
        Width of the result, by default the node's activation width.
    """
    width = bits or ctx.bits.activation_bits or ctx.config.activation_bits
    return lookup(ctx, tensor, choose_grid(ctx, tensor, width))
