"""MatMul: the matrix product as NumPy has it, of vectors, matrices and stacks of them.

Under encryption one factor is encrypted and the other clear. The product costs no lookup; the
accumulator grows by about log2(K) bits over input and weight widths.
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
    hookimpl,
    reshape,
    transpose,
)
from cml_core.plugin_api import matmul as matmul_encrypted


def matmul(a, b):
    return (np.matmul(a, b),)


class QuantizedMatMul:
    """MatMul with one clear factor."""

    def __call__(self, ctx: LoweringContext, a, b):
        if isinstance(a, EncryptedTensor) and isinstance(b, EncryptedTensor):
            ctx.refuse("both factors are encrypted", "One of them must be a constant of the model.")
        # A vector is a row on the left and a column on the right; its axis of size 1 is dropped.
        whole_a = _reshaped(ctx, a, (1, *a.shape) if a.ndim == 1 else a.shape)
        whole_b = _reshaped(ctx, b, (*b.shape, 1) if b.ndim == 1 else b.shape)
        if isinstance(a, EncryptedTensor):
            product = _product(ctx, whole_a, whole_b)
        else:
            # (A B)^T = B^T A^T brings the encrypted factor to the left.
            product = _turned(ctx, _product(ctx, _turned(ctx, whole_b), whole_a.swapaxes(-1, -2)))
        rows = () if a.ndim == 1 else product.shape[-2:-1]
        columns = () if b.ndim == 1 else product.shape[-1:]
        return (_reshaped(ctx, product, (*product.shape[:-2], *rows, *columns)),)


def _product(ctx, x, weight):
    """Multiply after giving x as many axes as a stack of weights has."""
    x = _reshaped(ctx, x, (*(1,) * (weight.ndim - x.ndim), *x.shape))
    return matmul_encrypted(ctx, x, weight)


def _reshaped(ctx, x, shape):
    if tuple(x.shape) == tuple(shape):
        return x
    return reshape(ctx, x, shape) if isinstance(x, EncryptedTensor) else x.reshape(shape)


def _turned(ctx, x):
    """Swap rows and columns of an encrypted stack of matrices."""
    return transpose(ctx, x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


@hookimpl
def cml_op():
    rng = np.random.default_rng(0)

    def uniform(*shape):
        return rng.uniform(-1, 1, shape).astype(np.float32)

    left = np.array([[1.0, -0.5, 0.25], [0.75, 0.5, -1.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("MatMul", since_versions=(1, 9, 13), kind=OpKind.LINEAR),
        numpy_op=matmul,
        quantized_op=QuantizedMatMul(),
        examples=(
            OpExample((uniform(2, 3), uniform(3, 2)), name="matrices"),
            OpExample((left, uniform(3, 2)), encrypted=(1,), name="clear on the left"),
            OpExample((uniform(3), uniform(3)), name="vectors"),
            OpExample((uniform(2, 3), uniform(3)), encrypted=(1,), name="encrypted vector"),
            OpExample((uniform(2, 1, 3), uniform(2, 3, 2)), name="a stack of matrices"),
            OpExample(
                (uniform(3), uniform(2, 3, 2)), encrypted=(1,), name="vector times encrypted stack"
            ),
        ),
        restrictions="one factor must be clear",
    )
