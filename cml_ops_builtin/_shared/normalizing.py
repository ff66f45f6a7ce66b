"""Normalization to zero mean and unit variance, and the precision that ONNX has it computed in."""

from __future__ import annotations

import math

import numpy as np

from cml_core.plugin_api import AttributeValueError
from cml_ops_builtin._shared.reductions import means

__all__ = ["group_normalized", "per_channel", "standardized", "stashed"]

#: ONNX's element types that `stash_type` may name.
_STASH_TYPES = {1: np.float32, 10: np.float16, 11: np.float64}


def stashed(x, stash_type):
    """Return x in the precision that `stash_type` asks for."""
    if stash_type not in _STASH_TYPES:
        raise AttributeValueError(
            "stash_type", stash_type, "1 (float), 10 (float16) or 11 (double)"
        )
    return x.astype(_STASH_TYPES[stash_type], copy=False)


def standardized(x, axes, epsilon):
    """Return `(x - mean) / sqrt(variance + epsilon)`, the mean and the inverse deviation."""
    mean = means(x, axes, keepdims=True)
    centred = x - mean
    variance = means(np.square(centred), axes, keepdims=True)
    inverse = 1 / np.sqrt(variance + np.asarray(epsilon, dtype=x.dtype))
    return centred * inverse, mean, inverse


def per_channel(parameter, rank):
    """Bring a parameter of shape (C,) to the axes of a tensor (N, C, *spatial)."""
    return parameter.reshape(-1, *(1,) * (rank - 2))


def group_normalized(x, num_groups, epsilon, stash_type):
    """Normalize every group of channels of every instance."""
    if num_groups < 1 or x.shape[1] % num_groups:
        raise AttributeValueError("num_groups", num_groups, f"a divisor of {x.shape[1]} channels")
    size = math.prod(x.shape[1:]) // num_groups
    groups = stashed(x, stash_type).reshape(x.shape[0], num_groups, size)
    return standardized(groups, (2,), epsilon)[0].reshape(x.shape).astype(x.dtype, copy=False)
