"""The logistic function and its integral, for Sigmoid, Softplus, Swish and Mish."""

from __future__ import annotations

import numpy as np

__all__ = ["sigmoid", "softplus"]


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Compute 1 / (1 + exp(-x)); exp only ever sees negative numbers and cannot overflow."""
    shrunk = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, shrunk) / (1.0 + shrunk)


def softplus(x: np.ndarray) -> np.ndarray:
    """Compute log(1 + exp(x)) as max(x, 0) + log(1 + exp(-|x|)), which cannot overflow."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))
