"""The general product of matrices: alpha * A' @ B' + beta * C."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    EncryptedTensor,
    LoweringContext,
    add,
    elementwise,
)
from cml_ops_builtin._shared.matrices import matrix_product, transposed
from cml_ops_builtin._shared.precision import widened

__all__ = ["QuantizedGemm", "broadcasts_to", "gemm"]


def gemm(a, b, c=None, *, alpha, beta, transA, transB):
    left, right = (widened(x.T if turned else x) for x, turned in ((a, transA), (b, transB)))
    _check(left, right, c)
    product = np.matmul(left, right)
    if alpha != 1.0:
        product = product * np.asarray(alpha, dtype=product.dtype)
    if c is not None and beta != 0.0:
        product = product + (c if beta == 1.0 else c * np.asarray(beta, dtype=product.dtype))
    return (product.astype(a.dtype, copy=False),)


def _check(left, right, c):
    shapes = left.shape, right.shape
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0]:
        expected = "those of an M x K and a K x N matrix"
        raise AttributeValueError("shapes of A' and B'", shapes, expected)
    result = (left.shape[0], right.shape[1])
    if c is not None and not broadcasts_to(c.shape, result):
        raise AttributeValueError("shape of C", c.shape, f"one that broadcasts to {result}")


def broadcasts_to(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether an array of a shape can be added to one of the other without making it larger."""
    ends = zip(reversed(shape), reversed(wanted), strict=False)
    return len(shape) <= len(wanted) and all(size in (1, room) for size, room in ends)


class QuantizedGemm:
    """Gemm with one encrypted factor, or two."""

    def __call__(self, ctx: LoweringContext, a, b, c=None, *, alpha, beta, transA, transB):
        left = transposed(ctx, a) if transA else a
        right = transposed(ctx, b) if transB else b
        product = _scaled(ctx, matrix_product(ctx, left, right), alpha)
        if c is None or beta == 0.0:
            return (product,)
        return (add(ctx, product, _scaled(ctx, c, beta)),)


def _scaled(ctx, x, factor):
    if factor == 1.0:
        return x
    if isinstance(x, EncryptedTensor):
        return elementwise(ctx, lambda value: factor * value, x)
    return factor * x
