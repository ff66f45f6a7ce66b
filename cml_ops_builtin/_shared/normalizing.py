"""Normalization to zero mean and unit variance, and the precision that ONNX has it computed in."""

from __future__ import annotations

import math

import numpy as np

from cml_core.plugin_api import AttributeValueError
from cml_ops_builtin._shared.reductions import means

__all__ = [
    "checked_power",
    "group_normalized",
    "groups_of",
    "inverse_root",
    "per_channel",
    "root",
    "standardized",
    "stash_dtype",
    "stashed",
]

#: ONNX's element types that `stash_type` may name.
_STASH_TYPES = {1: np.float32, 10: np.float16, 11: np.float64}


def stash_dtype(stash_type):
    """Return the dtype that `stash_type` asks for."""
    if stash_type not in _STASH_TYPES:
        raise AttributeValueError(
            "stash_type", stash_type, "1 (float), 10 (float16) or 11 (double)"
        )
    return np.dtype(_STASH_TYPES[stash_type])


def stashed(x, stash_type):
    """Return x in the precision that `stash_type` asks for."""
    return x.astype(stash_dtype(stash_type), copy=False)


def inverse_root(epsilon):
    """Return `v -> 1 / sqrt(v + epsilon)`."""
    return lambda value: 1 / np.sqrt(np.maximum(value, 0) + np.asarray(epsilon, value.dtype))


def standardized(x, axes, epsilon):
    """Return `(x - mean) / sqrt(variance + epsilon)`, the mean and the inverse deviation."""
    mean = means(x, axes, keepdims=True)
    centred = x - mean
    variance = means(np.square(centred), axes, keepdims=True)
    inverse = 1 / np.sqrt(variance + np.asarray(epsilon, dtype=x.dtype))
    return centred * inverse, mean, inverse


def checked_power(p):
    """Return the p of a p-norm, at least 1."""
    if not p >= 1:
        raise AttributeValueError("p", p, "at least 1")
    return p


def root(total, p):
    """Return the p-th root; rounding may have brought a sum of powers below zero."""
    return np.maximum(total, np.zeros((), dtype=total.dtype)) ** (1.0 / p)


def per_channel(parameter, rank):
    """Bring a parameter of shape (C,) to the axes of a tensor (N, C, *spatial)."""
    return parameter.reshape(-1, *(1,) * (rank - 2))


def groups_of(shape, num_groups):
    """Shape (N, G, size) of the groups of channels of a tensor (N, C, *spatial)."""
    if len(shape) < 2:
        raise AttributeValueError("shape of X", tuple(shape), "a batch axis and channels")
    if num_groups < 1 or shape[1] % num_groups:
        raise AttributeValueError("num_groups", num_groups, f"a divisor of {shape[1]} channels")
    return shape[0], num_groups, math.prod(shape[1:]) // num_groups


def group_normalized(x, num_groups, epsilon, stash_type):
    """Normalize every group of channels of every instance."""
    groups = stashed(x, stash_type).reshape(groups_of(x.shape, num_groups))
    return standardized(groups, (2,), epsilon)[0].reshape(x.shape).astype(x.dtype, copy=False)
