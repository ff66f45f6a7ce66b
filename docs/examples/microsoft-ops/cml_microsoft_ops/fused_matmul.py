"""FusedMatMul: alpha * A @ B, where either factor may be transposed first."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl


def fused_matmul(a, b, *, alpha, transA, transB, transBatchA, transBatchB):
    """Multiply stacks of matrices."""
    y = turned(a, transA, transBatchA) @ turned(b, transB, transBatchB)
    return ((np.asarray(alpha, y.dtype) * y).astype(a.dtype, copy=False),)


def turned(x, matrix, batch):
    """Return a factor with its axes in the order of a stack of matrices.

    A transposed batch has shape (M, B0, …, Bn, K) and becomes (B0, …, Bn, M, K).
    """
    if batch:
        x = np.moveaxis(x, 0, -2)
    return np.swapaxes(x, -1, -2) if matrix and x.ndim > 1 else x


def body(writer, a, b, *, alpha, transA, transB, transBatchA, transBatchB):
    """Write it as MatMul of transposed factors.

    A body does not know ranks, which Transpose would need; Einsum does without.
    """

    def turn(x, matrix, batch):
        if batch:
            x = writer.add("Einsum", x, equation="i...j->...ij")
        return writer.add("Einsum", x, equation="...ij->...ji") if matrix else x

    y = writer.add("MatMul", turn(a, transA, transBatchA), turn(b, transB, transBatchB))
    return (y if alpha == 1 else writer.add("Mul", y, writer.constant(alpha, np.float32)),)


@hookimpl
def cml_op():
    """FusedMatMul of com.microsoft: transpositions and a scale, fused into MatMul."""
    a = np.float32([[1, -2, 0.5], [0, 1, -1]])
    b = np.float32([[1, 0], [-1, 2], [0.5, -1]])
    y = np.float32([[3.25, -4.5], [-1.5, 3]])
    stack = np.stack([a, 2 * a], axis=1)
    return OpPlugin(
        schema=OpSchema(
            "FusedMatMul",
            (1,),
            domain="com.microsoft",
            attribute_defaults={
                "alpha": 1.0,
                "transA": 0,
                "transB": 0,
                "transBatchA": 0,
                "transBatchB": 0,
            },
        ),
        numpy_op=fused_matmul,
        body=body,
        examples=(
            OpExample((a, b), {"alpha": 0.125}, (y / 8,), lookups=0),
            OpExample(
                (a.T.copy(), b.T.copy()),
                {"transA": 1, "transB": 1},
                (y,),
                lookups=0,
                name="transposed",
            ),
            OpExample(
                (stack, np.stack([b.T, b.T], axis=1)),
                {"transBatchA": 1, "transBatchB": 1, "transB": 1},
                (np.stack([y, 2 * y]),),
                lookups=0,
                name="transposed batches",
            ),
            OpExample(
                (a, a),
                {"transB": 1},
                (np.float32([[5.25, -2.5], [-2.5, 2]]),),
                encrypted=(0, 1),
                lookups=24,
                max_bits=5,
                name="both encrypted",
            ),
        ),
        restrictions="transposed factors are quantized from opset 12 on",
    )
