"""Gemm: alpha * A' @ B' + beta * C, with A' and B' optionally transposed.

Under encryption A, B and C may each be encrypted or clear. With one clear factor the product
costs no lookup; the accumulator grows by about log2(K) bits over input and weight widths. The
product of two encrypted matrices, M x K and K x N, costs M K N lookups of one bit more than its
operands have, and M K + K N of their width.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    add,
    elementwise,
    hookimpl,
)
from cml_ops_builtin._shared.matrices import matrix_product, transposed


def gemm(a, b, c=None, *, alpha, beta, transA, transB):
    product = np.matmul(a.T if transA else a, b.T if transB else b)
    if alpha != 1.0:
        product = product * np.asarray(alpha, dtype=product.dtype)
    if c is not None and beta != 0.0:
        product = product + (c if beta == 1.0 else c * np.asarray(beta, dtype=product.dtype))
    return (product.astype(a.dtype, copy=False),)


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


@hookimpl
def cml_op():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(2, 3)).astype(np.float32)
    b = rng.normal(size=(3, 4)).astype(np.float32)
    c = rng.normal(size=(4,)).astype(np.float32)
    return OpPlugin(
        schema=OpSchema("Gemm", since_versions=(7, 9, 11, 13), kind=OpKind.LINEAR),
        numpy_op=gemm,
        quantized_op=QuantizedGemm(),
        examples=(
            OpExample((a, b, c), lookups=0, name="A B + C"),
            OpExample((a, b.T, None), {"transB": 1, "alpha": 0.5}, name="transposed, without C"),
            OpExample((a.T, b, c), {"transA": 1, "beta": 2.0}, name="transA and beta"),
            OpExample(
                (a[:, :2], b[:2, :2], c[:2]),
                {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0},
                encrypted=(0, 1, 2),
                n_bits=3,
                lookups=16,
                max_bits=4,
                name="all encrypted",
                tolerance=0.05,
            ),
            OpExample(
                (a[:, :2], b[:2, :2], c[:2]),
                encrypted=(2,),
                name="only C encrypted",
            ),
        ),
    )
