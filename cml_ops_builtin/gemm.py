"""Gemm: alpha * A' @ B' + beta * C, with A' and B' optionally transposed.

Under encryption A is encrypted and B clear (or the other way round); C may be either. The
product costs no lookup; the accumulator grows by about log2(K) bits over input and weight widths.
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
    matmul,
    transpose,
)


def gemm(a, b, c=None, *, alpha, beta, transA, transB):
    product = np.matmul(a.T if transA else a, b.T if transB else b)
    if alpha != 1.0:
        product = product * np.asarray(alpha, dtype=product.dtype)
    if c is not None and beta != 0.0:
        product = product + (c if beta == 1.0 else c * np.asarray(beta, dtype=product.dtype))
    return (product.astype(a.dtype, copy=False),)


class QuantizedGemm:
    """Gemm with one clear factor."""

    def __call__(self, ctx: LoweringContext, a, b, c=None, *, alpha, beta, transA, transB):
        if isinstance(a, EncryptedTensor) and isinstance(b, EncryptedTensor):
            ctx.refuse("both matrices are encrypted", "One of them must be constant.")
        if isinstance(b, EncryptedTensor):
            # (A' B')^T = B'^T A'^T brings the encrypted factor to the left.
            left = b if transB else transpose(ctx, b, (1, 0))
            right = alpha * (a if transA else a.T)
            product = transpose(ctx, matmul(ctx, left, right), (1, 0))
        else:
            left = transpose(ctx, a, (1, 0)) if transA else a
            product = matmul(ctx, left, alpha * (b.T if transB else b))
        if c is None or beta == 0.0:
            return (product,)
        if isinstance(c, EncryptedTensor) and beta != 1.0:
            c = elementwise(ctx, lambda value: beta * value, c)
        elif beta != 1.0:
            c = beta * c
        return (add(ctx, product, c),)


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
            OpExample((a, b, c), name="A B + C"),
            OpExample((a, b.T, None), {"transB": 1, "alpha": 0.5}, name="transposed, without C"),
            OpExample((a.T, b, c), {"transA": 1, "beta": 2.0}, name="transA and beta"),
        ),
        restrictions="one of A and B must be clear",
    )
