"""The logistic function and its integral, for Sigmoid, Softplus, Swish and Mish."""

from __future__ import annotations

import numpy as np

from cml_ops_builtin._shared.blocks import blockwise, numbers

__all__ = ["sigmoid", "softplus"]


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Compute 1 / (1 + exp(-x)); where exp overflows to infinity, the result is zero."""
    return blockwise(_sigmoid_into, x, scratch=0)


def _sigmoid_into(x: np.ndarray, out: np.ndarray) -> None:
    (one,) = numbers(x.dtype, 1.0)
    np.negative(x, out)
    np.exp(out, out)
    np.add(out, one, out)
    np.reciprocal(out, out)


def softplus(x: np.ndarray) -> np.ndarray:
    """Compute log(1 + exp(x)) as max(x, 0) + log(1 + exp(-|x|)), which cannot overflow."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))
