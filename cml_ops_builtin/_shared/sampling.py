"""Sampling an image at given positions: which elements are read, and with which weights."""

from __future__ import annotations

import math

import numpy as np

from cml_core.plugin_api import AttributeValueError
from cml_ops_builtin._shared.resizing import checked, neighbours

__all__ = ["sampled", "samples_of"]

_MODES = {"bilinear": "linear", "bicubic": "cubic"}


def samples_of(
    shape: tuple[int, ...], grid: np.ndarray, *, mode: str, padding_mode: str, align_corners: int
) -> tuple[np.ndarray, np.ndarray]:
    """Say what each position of a grid reads.

    Parameters
    ----------
    shape : tuple of int
        Shape (N, C, *spatial) of the image.
    grid : float array of shape (N, *positions, rank)
        Normalized positions, the last spatial axis first.
    mode, padding_mode, align_corners
        Attributes of GridSample.

    Returns
    -------
    taps : int array of shape (N, P, n)
        Elements of the flattened spatial axes, n for each of the P positions.
    weights : float array of shape (N, P, n)
        Their weights.
    """
    mode = checked("mode", _MODES.get(mode, mode), ("nearest", "linear", "cubic"))
    checked("padding_mode", padding_mode, ("zeros", "border", "reflection"))
    spatial = shape[2:]
    if grid.ndim != len(shape) or grid.shape[-1] != len(spatial) or grid.shape[0] != shape[0]:
        expected = f"({shape[0]}, *positions, {len(spatial)}) with {len(spatial)} axes of positions"
        raise AttributeValueError("shape of grid", grid.shape, expected)
    count = math.prod(grid.shape[1:-1])
    positions = grid.reshape(shape[0], count, len(spatial))[..., ::-1].astype(np.float64)
    taps = np.zeros((*positions.shape[:2], 1), dtype=np.int64)
    weights = np.ones(taps.shape)
    for axis, size in enumerate(spatial):
        own, share = _along(positions[..., axis], size, mode, padding_mode, bool(align_corners))
        taps = taps[..., np.newaxis] * size + own[..., np.newaxis, :]
        weights = weights[..., np.newaxis] * share[..., np.newaxis, :]
        taps, weights = (a.reshape(*a.shape[:2], math.prod(a.shape[2:])) for a in (taps, weights))
    return taps, weights


def _along(
    place: np.ndarray, size: int, mode: str, padding: str, aligned: bool
) -> tuple[np.ndarray, np.ndarray]:
    low, high = (0.0, size - 1.0) if aligned else (-0.5, size - 0.5)
    x = (place + 1) / 2 * (high - low) + low
    x = np.rint(x) if mode == "nearest" else x
    beyond = (x < low) | (x > high)
    if padding == "border":
        # What is read is bound, not the position: beyond this far it is the border alone.
        x = np.clip(x, -3, size + 2)
    elif padding == "reflection":
        x = np.where(beyond, _reflected(x, low, high), x)
    if mode == "nearest":
        taps, weights = np.rint(x).astype(np.int64)[..., np.newaxis], np.ones((*x.shape, 1))
    else:
        taps, weights = neighbours(x, mode)
    if padding == "reflection":
        taps = np.rint(_reflected(taps, low, high)).astype(np.int64)
    elif padding == "zeros":
        weights = np.where((taps < 0) | (taps >= size), 0.0, weights)
    return np.clip(taps, 0, size - 1), weights


def _reflected(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Reflect coordinates at both ends until they are between them."""
    span = high - low
    if span == 0:
        return np.full(np.shape(x), low)
    return low + span - np.abs((x - low) % (2 * span) - span)


def sampled(x: np.ndarray, taps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Read an image of shape (N, C, *spatial) at the P positions: (N, C, P), in float64."""
    flat = x.reshape(*x.shape[:2], math.prod(x.shape[2:])).astype(np.float64)
    total = np.zeros((*x.shape[:2], taps.shape[1]))
    for tap, weight in zip(np.moveaxis(taps, -1, 0), np.moveaxis(weights, -1, 0), strict=True):
        total += np.take_along_axis(flat, tap[:, np.newaxis], axis=2) * weight[:, np.newaxis]
    return total
