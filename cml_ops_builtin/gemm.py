"""Gemm: alpha * A' @ B' + beta * C, with A' and B' optionally transposed.

Under encryption A, B and C may each be encrypted or clear. With one clear factor the product
costs no lookup; the accumulator grows by about log2(K) bits over input and weight widths. The
product of two encrypted matrices, M x K and K x N, costs M K N lookups of one bit more than its
operands have, and M K + K N of their width.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.gemm import QuantizedGemm, gemm
from cml_ops_builtin._shared.weight_layouts import bias_adder, ready, right_factor


def prepare(a, b, c=None, *, alpha, beta, transA, transB):
    """Lay out B, with alpha in it, and C with beta."""
    if not ready(b) or not (c is None or ready(c)) or b.ndim != 2:
        return None
    columns = b.shape[0 if transB else 1]
    if c is not None and (c.ndim > 2 or c.shape[-1:] not in ((), (1,), (columns,))):
        return None
    times = right_factor((b.T if transB else b) * np.asarray(alpha, dtype=b.dtype))
    plain = c is None or beta == 0.0
    add = None if plain else bias_adder(c * np.asarray(beta, dtype=b.dtype))

    def prepared(a, *constants):
        if a.ndim != 2:
            raise AttributeValueError("shape of A", a.shape, "that of a matrix")
        product = times(a.T if transA else a)
        if add is not None:
            add(product)
        return (product,)

    return prepared


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
        prepare=prepare,
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
