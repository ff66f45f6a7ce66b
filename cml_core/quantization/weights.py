"""Weights as integers: symmetric, one scale per output channel."""

from __future__ import annotations

import numpy as np

__all__ = ["quantize_weights"]

#: Scales tried for each channel, as shares of the one that its largest weight asks for.
_SHARES = np.linspace(1.0, 0.5, 21)


def quantize_weights(
    weight: np.ndarray, bits: int, *, axes: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Quantize weights symmetrically, each channel by the scale of least squared error.

    Parameters
    ----------
    weight : float array
        The weights.
    bits : int
        Width of the integers, sign included; 1 and 2 bits both give -1, 0 and 1.
    axes : tuple of int
        The axes that belong to one channel.

    Returns
    -------
    integers : int64 array of the weights' shape
        Without common factors: ones stay ones at any width.
    scale : float64 array, size 1 along `axes`
        Step of each channel.
    """
    weight = np.asarray(weight, dtype=np.float64)
    top = max(1, 2 ** (bits - 1) - 1)
    largest = np.abs(weight).max(axis=axes, keepdims=True, initial=0.0)
    full = np.where(largest > 0, largest, 1.0) / top
    best_scale, best_error = full, np.full(full.shape, np.inf)
    for share in _SHARES:
        scale = full * share
        error = np.square(np.clip(np.rint(weight / scale), -top, top) * scale - weight)
        error = error.sum(axis=axes, keepdims=True)
        better = error < best_error * (1 - 1e-9)
        best_scale = np.where(better, scale, best_scale)
        best_error = np.where(better, error, best_error)
    integers = np.clip(np.rint(weight / best_scale), -top, top).astype(np.int64)
    divisor = (
        np.gcd.reduce(np.abs(integers), axis=axes, keepdims=True) if axes else np.abs(integers)
    )
    divisor = np.maximum(divisor, 1)
    return integers // divisor, best_scale * divisor
