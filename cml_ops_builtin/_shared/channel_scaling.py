"""Channels multiplied and shifted by constants: batch normalization, prepared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cml_ops_builtin._shared.weight_layouts import ready

__all__ = ["prepared_batch_normalization"]

#: Bytes of a result that are scaled, then shifted, at a time.
_CHUNK = 1 << 19


def prepared_batch_normalization(
    *parameters: Any, epsilon: float, spatial: int = 1
) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return what normalizes with constant scale, bias, mean and variance; None if one is not.

    `(x - mean) * factor + bias` is `x * factor + (bias - mean * factor)`: one product and one sum.
    """
    if not all(map(ready, parameters)):
        return None
    dtype = parameters[0].dtype
    scale, bias, mean, var = (p.astype(np.float64) for p in parameters)
    factor = scale / np.sqrt(var + epsilon)
    factor, shift = (p.astype(dtype) for p in (factor, bias - mean * factor))

    def normalize(x: np.ndarray) -> np.ndarray:
        along = factor.shape
        if spatial and x.ndim > 2:
            along = (len(factor), *(1,) * (x.ndim - 2))
        wide = x.astype(dtype, copy=False)
        return _scaled(wide, factor.reshape(along), shift.reshape(along)).astype(
            x.dtype, copy=False
        )

    return normalize


def _scaled(x: np.ndarray, factor: np.ndarray, shift: np.ndarray) -> np.ndarray:
    y = np.empty(x.shape, dtype=x.dtype)
    step = max(1, _CHUNK // max(y[:1].nbytes, 1))
    for start in range(0, len(x), step):
        part = y[start : start + step]
        np.multiply(x[start : start + step], factor, part)
        np.add(part, shift, part)
    return y
