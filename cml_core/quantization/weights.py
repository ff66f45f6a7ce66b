"""Weights as integers: symmetric, one scale per output channel.

`quantize_weights` chooses scales and rounds each weight to the nearest integer; `adapt_weights`
rounds all weights of a channel together, so that what the layer computes changes least.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["EXACT", "adapt_weights", "exact_weights", "quantize_weights", "symmetric_top"]

#: Scales tried for each channel, as shares of the one that its largest weight asks for.
_SHARES = np.linspace(1.0, 0.5, 21)
#: Largest integer of weights that count as exact, and how exact, relative to the largest one.
_EXACT_TOP = 255
_SAME = 5e-7
#: How far, in steps, such weights may be from whole numbers: what float32 makes of products.
EXACT = _SAME * _EXACT_TOP
#: Weights that are multiples of larger steps need not be more exact than those of so many.
_LEAST = 8
#: Weights of each channel that candidates are tried on before all others.
_TRIED = 8
#: Weights below this count as zero.
_TINY = 1e-300
#: Share of the mean input power that is added to every input's own, so that a solution exists.
_DAMPING = 0.01
#: Inputs whose rounding errors are passed on at once.
_BLOCK = 64


def symmetric_top(bits: int) -> int:
    """Largest integer of a symmetric range; 1 and 2 bits both give -1, 0 and 1."""
    return max(1, (1 << (bits - 1)) - 1)


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
        Without common factors: ones stay ones at any width. Weights that are small whole
        multiples of one number (counts, averages, weights that were quantized before) are exact
        whatever `bits` says.
    scale : float64 array, size 1 along `axes`
        Step of each channel.
    """
    weight = np.asarray(weight, dtype=np.float64)
    exact = exact_weights(weight, axes)
    if exact is not None:
        return exact
    top = symmetric_top(bits)
    largest = np.abs(weight).max(axis=axes, keepdims=True, initial=0.0)
    full = np.where(largest > _TINY, largest, 1.0) / top
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


def exact_weights(
    weight: np.ndarray, axes: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Weights as whole multiples of one step per channel, or None if they are no such thing."""
    if weight.size == 0 or not axes:
        return None
    pooled = {axis % weight.ndim for axis in axes}
    kept = [axis for axis in range(weight.ndim) if axis not in pooled]
    rows = np.abs(weight.transpose(*kept, *pooled)).reshape(-1, _pooled_size(weight, pooled))
    largest = rows.max(axis=1, keepdims=True)
    share = rows / np.where(largest > 0, largest, 1.0)
    # The largest weight is a whole number of steps: the smallest that suits all the others. A few
    # of them rule out nearly all numbers, and nearly all weights that are no such multiples.
    few = share[:, np.linspace(0, rows.shape[1] - 1, min(rows.shape[1], _TRIED)).astype(int)]
    top = np.zeros(len(rows), dtype=np.int64)
    open_rows = np.arange(len(rows))
    for count in range(1, _EXACT_TOP + 1):
        fits = open_rows[_are_whole(few[open_rows] * count, count)]
        fits = fits[_are_whole(share[fits] * count, count)]
        top[fits] = count
        open_rows = open_rows[top[open_rows] == 0]
        if open_rows.size == 0:
            break
    if open_rows.size:
        return None
    shape = [1 if axis in pooled else size for axis, size in enumerate(weight.shape)]
    step = (np.where(largest > 0, largest, 1.0)[:, 0] / top).reshape(shape)
    return np.rint(weight / step).astype(np.int64), step


def _pooled_size(weight: np.ndarray, pooled: set[int]) -> int:
    return math.prod(weight.shape[axis] for axis in pooled)


def _are_whole(places: np.ndarray, count: int) -> np.ndarray:
    """Whether all places of each row, the largest being `count`, are whole but for float32."""
    off: np.ndarray = np.abs(places - np.rint(places)).max(axis=1, initial=0.0)
    return off <= _SAME * max(count, _LEAST)


def adapt_weights(weight: np.ndarray, inputs: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Round weights to integers so that products with the given inputs change least.

    Inputs are taken one after another, the strongest first. Each one's weights go to the nearest
    integers, and the error is passed on to the weights of those that follow, as far as they
    are correlated with it (optimal brain quantization: Frantar et al. 2022, arXiv:2208.11580;
    in a fixed order with a Cholesky factor: Frantar et al. 2023, arXiv:2210.17323, section 3).
    The mean of the inputs does not count, as a mean error is corrected for free.

    Parameters
    ----------
    weight : float array of shape (K, M)
        Weights in steps of their integers.
    inputs : array of shape (P, K)
        What they are multiplied with on calibration data.
    top : array of shape (M,)
        Largest integer of each output.

    Returns
    -------
    int64 array of shape (K, M)
        The integers.
    """
    count, depth = inputs.shape
    centred = inputs - inputs.mean(axis=0) if count else inputs
    moments = centred.T @ centred / max(count, 1)
    power = np.diag(moments).copy()
    if depth < 2 or not power.any():
        nearest: np.ndarray = np.clip(np.rint(weight), -top, top).astype(np.int64)
        return nearest
    # Few samples say little of correlations: they count for less the fewer there are.
    moments *= count / (count + depth)
    moments[np.diag_indices(depth)] = power + _DAMPING * power.mean()
    order = np.argsort(-power, kind="stable")
    factor = np.linalg.cholesky(np.linalg.inv(moments[np.ix_(order, order)])).T
    rest = np.array(weight[order], dtype=np.float64)
    chosen = np.zeros_like(rest)
    for start in range(0, depth, _BLOCK):
        stop = min(start + _BLOCK, depth)
        errors = np.zeros((stop - start, rest.shape[1]))
        for k in range(start, stop):
            chosen[k] = np.clip(np.rint(rest[k]), -top, top)
            errors[k - start] = (rest[k] - chosen[k]) / factor[k, k]
            rest[k + 1 : stop] -= np.outer(factor[k, k + 1 : stop], errors[k - start])
        rest[stop:] -= factor[start:stop, stop:].T @ errors
    integers = np.empty(weight.shape, dtype=np.int64)
    integers[order] = chosen
    return integers
