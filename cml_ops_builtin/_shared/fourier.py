"""Fourier transforms whose last axis holds real and imaginary parts, as ONNX has them.

On encrypted integers a transform is a product with cosines and sines, which costs no lookup.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    EncryptedTensor,
    LoweringContext,
    check_size,
    matmul,
    move,
)
from cml_ops_builtin._shared.positions import one_axis, one_integer

__all__ = ["transform", "transform_encrypted", "transform_frames"]

#: Cosines and sines below this are zero.
_ZERO = 1e-12


def transform(
    x: np.ndarray, length: np.ndarray | None, axis: int, *, inverse: int, onesided: int
) -> np.ndarray:
    """Compute a discrete Fourier transform, or its inverse, along one axis.

    Parameters
    ----------
    x : array of shape (..., 1) or (..., 2)
        Real or complex numbers.
    length : int array or None
        How many are taken; zeros are added if there are fewer.
    axis : int
        Along which axis; not the last one.
    inverse : int
        Whether the transform is inverted, and divided by its length.
    onesided : int
        Whether the half of the frequencies that follows from the other half is left out.
    """
    axis, count = _checked(x.shape, length, axis, inverse, onesided)
    numbers = x.astype(np.float64)
    numbers = numbers[..., 0] if x.shape[-1] == 1 else numbers[..., 0] + 1j * numbers[..., 1]
    if inverse and onesided:
        return np.fft.irfft(numbers, count, axis=axis)[..., np.newaxis].astype(x.dtype)
    if inverse:
        result = np.fft.ifft(numbers, count, axis=axis)
    else:
        result = (np.fft.rfft if onesided else np.fft.fft)(numbers, count, axis=axis)
    return np.stack([result.real, result.imag], axis=-1).astype(x.dtype)


def _checked(
    shape: tuple[int, ...], length: np.ndarray | None, axis: int, inverse: int, onesided: int
) -> tuple[int, int]:
    """Return the axis from the front and the length of the transform."""
    place = one_axis(axis, len(shape))
    if place == len(shape) - 1:
        raise AttributeValueError("axis", axis, "an axis before that of real and imaginary parts")
    if shape[-1] not in (1, 2):
        raise AttributeValueError("shape of the input", tuple(shape), "1 or 2 in the last axis")
    if onesided and shape[-1] != (2 if inverse else 1):
        expected = "complex numbers for an inverse transform, and real ones otherwise"
        raise AttributeValueError("onesided", onesided, expected)
    given = 2 * (shape[place] - 1) if inverse and onesided else shape[place]
    count = given if length is None else one_integer("dft_length", length)
    if count < 1:
        raise AttributeValueError("dft_length", count, "at least 1")
    check_size([count, *shape[:place], *shape[place + 1 :]], np.complex128)
    return place, count


def transform_encrypted(
    ctx: LoweringContext,
    x: EncryptedTensor,
    length: Any,
    axis: int,
    *,
    inverse: int,
    onesided: int,
    window: np.ndarray | None = None,
) -> EncryptedTensor:
    """Transform encrypted numbers; the transform of unit vectors says by which weights.

    Parameters
    ----------
    window : array, optional
        What the numbers along the axis are multiplied with first.
    """
    axis, _ = _checked(x.shape, length, axis, inverse, onesided)
    size, parts = x.shape[axis], x.shape[-1]
    unit = np.eye(size * parts).reshape(-1, size, parts)
    unit = unit if window is None else unit * window[:, np.newaxis].astype(np.float64)
    whole = transform(unit, length, 1, inverse=inverse, onesided=onesided)
    matrix = np.where(np.abs(whole) < _ZERO, 0.0, whole).reshape(len(unit), -1)

    def in_rows(a: np.ndarray) -> np.ndarray:
        a = np.moveaxis(a, axis, -2)
        return a.reshape(*a.shape[:-2], size * parts)

    def back(a: np.ndarray) -> np.ndarray:
        return np.moveaxis(a.reshape(*a.shape[:-1], *whole.shape[1:]), -2, axis)

    (rows,) = move(ctx, in_rows, [x])
    return move(ctx, back, [matmul(ctx, rows, matrix)])[0]


def transform_frames(
    x_shape: tuple[int, ...], frame_step: np.ndarray, window: Any, frame_length: Any
) -> np.ndarray:
    """Which elements of a signal (batch, length, parts) each frame has: (frames, frame length)."""
    if len(x_shape) != 3:
        raise AttributeValueError("shape of signal", tuple(x_shape), "(batch, length, 1 or 2)")
    step = one_integer("frame_step", frame_step, 1)
    size = x_shape[1] if window is None else len(window)
    if frame_length is not None:
        size = one_integer("frame_length", frame_length, 1)
    if window is not None and window.shape != (size,):
        raise AttributeValueError("shape of window", window.shape, f"({size},)")
    if not 1 <= size <= x_shape[1]:
        raise AttributeValueError("frame_length", size, f"1 to {x_shape[1]}, the signal's length")
    return np.arange(0, x_shape[1] - size + 1, step)[:, np.newaxis] + np.arange(size)
