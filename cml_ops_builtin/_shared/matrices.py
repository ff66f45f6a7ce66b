"""Products of matrices, or stacks of them, of which either or both are encrypted."""

from __future__ import annotations

from typing import Any

import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    LoweringContext,
    matmul,
    matmul_encrypted,
    reshape,
    transpose,
)

__all__ = ["matrix_product", "reshaped", "transposed"]


def matrix_product(ctx: LoweringContext, a: Any, b: Any, *, terms: np.ndarray | None = None) -> Any:
    """Multiply (..., M, K) by (..., K, N); clear if both are.

    Of two encrypted factors, only those terms (..., M, K, N) are multiplied that are wanted.
    """
    if isinstance(a, EncryptedTensor) and isinstance(b, EncryptedTensor):
        return matmul_encrypted(ctx, a, b, terms=terms)
    if isinstance(a, EncryptedTensor):
        return _with_weights(ctx, a, b)
    if isinstance(b, EncryptedTensor):
        # (A B)^T = B^T A^T brings the encrypted factor to the left.
        return transposed(ctx, _with_weights(ctx, transposed(ctx, b), a.swapaxes(-1, -2)))
    return np.matmul(a, b)


def _with_weights(ctx, x, weight):
    """Multiply after giving x as many axes as a stack of weights has."""
    return matmul(ctx, reshaped(ctx, x, (*(1,) * (weight.ndim - x.ndim), *x.shape)), weight)


def reshaped(ctx: LoweringContext, x: Any, shape: tuple[int, ...]) -> Any:
    """Give an encrypted or clear array another shape, or leave it as it is."""
    if tuple(x.shape) == tuple(shape):
        return x
    return reshape(ctx, x, shape) if isinstance(x, EncryptedTensor) else x.reshape(shape)


def transposed(ctx: LoweringContext, x: Any, perm: tuple[int, ...] | None = None) -> Any:
    """Order the axes of an encrypted or clear array; without an order, turn its matrices."""
    if perm is None:
        perm = (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)
    if perm == tuple(range(x.ndim)):
        return x
    return transpose(ctx, x, perm) if isinstance(x, EncryptedTensor) else x.transpose(perm)
