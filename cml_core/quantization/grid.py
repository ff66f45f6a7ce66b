"""Bringing encrypted tensors onto affine grids, with a lookup only where one is needed."""

from __future__ import annotations

import numpy as np

from cml_core.calibration.observers import channel_ranges
from cml_core.quantization.affine import AffineView, affine_view, channel_bounds, is_uniform, level
from cml_core.quantization.codes import Grid
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.encrypted import EncryptedTensor
from cml_core.quantization.lookup import lookup

__all__ = ["WIDEST_FACTOR", "affine", "balanced", "choose_grid", "has_own_lookup", "requantize"]

#: Widest integers that are multiplied by weights when a lookup follows; wider ones are requantized.
WIDEST_FACTOR = 10
#: How much larger the largest weight of a channel is than their root mean square.
_PEAK = 2.5


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
    view = _uniform(tensor, varying)
    if view is None or _too_wide(ctx, tensor):
        view = _uniform(requantize(ctx, tensor, bits=bits), varying)
    if view is None:
        # The model's own grid varies where it must not.
        view = affine_view(lookup(ctx, tensor, choose_grid(ctx, tensor, _width(ctx, bits))))
    assert view is not None  # a lookup's own result is on its grid
    return view


def _uniform(tensor: EncryptedTensor, varying: tuple[int, ...] | None) -> AffineView | None:
    view = affine_view(tensor)
    if view is not None and varying is not None:
        view = level(view, varying)
    return view if view is not None and is_uniform(view.scale, varying) else None


def _too_wide(ctx: LoweringContext, tensor: EncryptedTensor) -> bool:
    """Whether a product of these integers would be too wide for the lookup that follows it."""
    wide = tensor.register.interval.width > WIDEST_FACTOR
    return ctx.feeds_lookup and wide and tensor.decode.grid is None


def has_own_lookup(ctx: LoweringContext, tensor: EncryptedTensor) -> bool:
    """Whether a tensor must be looked up for this node, and for no other."""
    if ctx.readers.get(tensor.name, 1) > 1 or tensor.dtype.kind != "f" or not tensor.register.size:
        return False
    if tensor.decode.grid is not None or affine_view(tensor) is not None:
        return False
    return _exact_grid(tensor, _width(ctx)) is None


def balanced(
    ctx: LoweringContext,
    tensor: EncryptedTensor,
    *,
    axis: int,
    strength: np.ndarray,
    unread: np.ndarray | None = None,
) -> EncryptedTensor:
    """Requantize a tensor with a scale of its own for each channel, if that is worth it.

    Scales fold into the weights that follow. Small scales keep more of a channel and leave less
    of the weights that it meets; between one scale for all channels and one that lets each
    channel fill its width, the power of the channel's range is taken that gives the least error
    of both (the idea of cross-layer equalization: Nagel et al. 2019, arXiv:1906.04721, section
    4.1; here it needs no positive homogeneity, as a lookup may have any scale).

    Parameters
    ----------
    tensor : EncryptedTensor
        What is about to be multiplied by weights.
    axis : int
        The axis of its channels.
    strength : array of shape (K,)
        Root mean square of the weights that each channel meets.
    unread : bool array of the tensor's shape, optional
        Elements that need no lookup.

    Returns
    -------
    EncryptedTensor
        The tensor itself if it is on a grid already, holds few values, or has other readers,
        which could not share a lookup on such a grid.
    """
    if not has_own_lookup(ctx, tensor):
        return tensor
    if not ctx.config.equalize:
        return requantize(ctx, tensor, unread=unread)
    bits = _width(ctx)
    values = tensor.values().astype(np.float64)
    values = np.moveaxis(np.where(np.isfinite(values), values, 0.0), axis % tensor.ndim + 1, 0)
    values = values.reshape(len(values), -1)
    if values.size == 0:
        return requantize(ctx, tensor, unread=unread)
    low, high = channel_ranges(values, ctx.config.observer, bits)
    span = np.where(strength > 0, high - low, 0.0)
    widest = span.max(initial=0.0)
    if widest <= 0:
        return requantize(ctx, tensor, unread=unread)
    share = np.maximum(span, widest * 2.0**-bits) / widest
    deviation = values.std(axis=1)
    top = 2.0 ** ((ctx.bits.weight_bits or 4) - 1) - 1
    best: tuple[float, np.ndarray] | None = None
    for power in (0.0, 0.25, 0.5, 0.75, 1.0):
        scale = widest / (2**bits - 1) * share**power
        lost = np.sum(np.square(scale * strength)) / 12
        step = (scale * strength).max(initial=0.0) * _PEAK / max(top, 1.0)
        lost += np.square(step) / 12 * np.sum(np.square(deviation / scale))
        if best is None or lost < best[0] * 0.98:
            best = float(lost), scale
    assert best is not None
    shape = tuple(-1 if a == axis % tensor.ndim else 1 for a in range(tensor.ndim))
    scale = best[1].reshape(shape)
    start = low.reshape(shape)
    zero = (start <= 0) & (high.reshape(shape) >= 0)
    start = np.where(zero, -scale * np.rint(-start / scale), start)
    return lookup(ctx, tensor, Grid(scale, start, 2**bits), unread=unread)


def choose_grid(ctx: LoweringContext, tensor: EncryptedTensor, bits: int) -> Grid:
    """Choose the grid of at most `2**bits` values that fits a tensor's range.

    A tensor of few values (a boolean, a sign, small integers) gets a grid that holds them
    exactly, in the bits they need. Zero is on the grid whenever it is in the range.

    Parameters
    ----------
    ctx : LoweringContext
        The context of the node.
    tensor : EncryptedTensor
        Whose values, as calibration saw them, the grid is for.
    bits : int
        Width of an integer of the grid.
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
    with np.errstate(over="ignore"):
        places = (levels - levels[0]) / step
    if not places[-1] < 2**bits:
        return None
    count = int(np.rint(places[-1])) + 1
    if count > 2**bits or np.abs(places - np.rint(places)).max() > 1e-6:
        return None
    return Grid(step, levels[0], count)


def requantize(
    ctx: LoweringContext,
    tensor: EncryptedTensor,
    *,
    bits: int | None = None,
    unread: np.ndarray | None = None,
) -> EncryptedTensor:
    """Bring a tensor onto the grid that fits its range, by one lookup per element.

    A tensor that the model itself puts on a grid is brought onto that one.

    Parameters
    ----------
    bits : int, optional
        Width of the result, by default the node's activation width.
    unread : bool array of the tensor's shape, optional
        Elements that need no lookup, as nobody will read them.
    """
    own = tensor.decode.grid
    if own is None or tensor.register.size == 0:
        grid = choose_grid(ctx, tensor, _width(ctx, bits))
        return lookup(ctx, tensor, grid, unread=unread)
    grid = Grid(own.scale[tensor.channel], own.offset[tensor.channel], own.levels)
    result = lookup(ctx, tensor, grid, unread=unread, trim=True)
    return result.kept_on(grid.scale, grid.offset, grid.levels)


def _width(ctx: LoweringContext, bits: int | None = None) -> int:
    return bits or ctx.bits.activation_bits or ctx.config.activation_bits
