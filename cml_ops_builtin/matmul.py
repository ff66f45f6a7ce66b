"""MatMul: the matrix product as NumPy has it, of vectors, matrices and stacks of them.

Under encryption the product with a clear factor costs no lookup; the accumulator grows by about
log2(K) bits over input and weight widths. The product of two encrypted matrices, M x K and K x N,
costs M K N lookups of one bit more than its operands have, and M K + K N of their width.
"""

from __future__ import annotations

import math

import numpy as np

from cml_core.plugin_api import LoweringContext, OpExample, OpKind, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.matrices import matrix_product, reshaped
from cml_ops_builtin._shared.precision import widened
from cml_ops_builtin._shared.weight_layouts import ready, right_factor


def matmul(a, b):
    product = _product(widened(a), widened(b))
    return (product.astype(np.promote_types(a.dtype, b.dtype), copy=False),)


def prepare(a, b):
    """Lay out a constant matrix on the right."""
    if not ready(b) or b.ndim != 2:
        return None
    times = right_factor(b)

    def prepared(a, b):
        if a.ndim < 2 or a.shape[-1] != len(b):
            return (np.matmul(a, b),)
        rows = a.reshape(math.prod(a.shape[:-1]), a.shape[-1])
        return (times(rows).reshape(*a.shape[:-1], b.shape[1]),)

    return prepared


def _product(a, b):
    """Multiply; many matrices on the left of a single one are a large one."""
    if a.ndim < 3 or b.ndim != 2 or a.shape[-1] != len(b):
        return np.matmul(a, b)
    rows = a.reshape(math.prod(a.shape[:-1]), a.shape[-1])
    return np.matmul(rows, b).reshape(*a.shape[:-1], b.shape[1])


class QuantizedMatMul:
    """MatMul with one factor encrypted, or both."""

    def __call__(self, ctx: LoweringContext, a, b):
        # A vector is a row on the left and a column on the right; its axis of size 1 is dropped.
        whole_a = reshaped(ctx, a, (1, *a.shape) if a.ndim == 1 else a.shape)
        whole_b = reshaped(ctx, b, (*b.shape, 1) if b.ndim == 1 else b.shape)
        product = matrix_product(ctx, whole_a, whole_b)
        rows = () if a.ndim == 1 else product.shape[-2:-1]
        columns = () if b.ndim == 1 else product.shape[-1:]
        return (reshaped(ctx, product, (*product.shape[:-2], *rows, *columns)),)


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
        prepare=prepare,
        examples=(
            OpExample((uniform(2, 3), uniform(3, 2)), lookups=0, name="matrices"),
            OpExample((left, uniform(3, 2)), encrypted=(1,), name="clear on the left"),
            OpExample((uniform(3), uniform(3)), name="vectors"),
            OpExample((uniform(2, 3), uniform(3)), encrypted=(1,), name="encrypted vector"),
            OpExample((uniform(2, 1, 3), uniform(2, 3, 2)), name="a stack of matrices"),
            OpExample(
                (uniform(3), uniform(2, 3, 2)), encrypted=(1,), name="vector times encrypted stack"
            ),
            OpExample(
                (left[:, :2], uniform(2, 2)),
                encrypted=(0, 1),
                lookups=16,
                max_bits=5,
                name="both encrypted",
            ),
            OpExample((uniform(2), uniform(2)), encrypted=(0, 1), n_bits=3, name="two vectors"),
            OpExample(
                (left[:, np.newaxis, :2], np.float32([[1.0], [-0.75]])),
                encrypted=(0, 1),
                name="an encrypted stack and an encrypted matrix",
            ),
        ),
    )
