"""Gemm as of opset 6: alpha * A' @ B' + beta * C, where C has the product's shape or `broadcast`.

Under encryption it costs what the newer revision costs.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.gemm import QuantizedGemm, gemm


def gemm_6(a, b, c, *, broadcast, **attributes):
    _check_addend(a.shape, b.shape, c.shape, broadcast, **attributes)
    return gemm(a, b, c, **attributes)


def quantized_gemm_6(ctx: LoweringContext, a, b, c, *, broadcast, **attributes):
    _check_addend(a.shape, b.shape, c.shape, broadcast, **attributes)
    return QuantizedGemm()(ctx, a, b, c, **attributes)


def _check_addend(a_shape, b_shape, c_shape, broadcast, *, transA, transB, **_):
    shape = (a_shape[1 if transA else 0], b_shape[0 if transB else 1])
    if c_shape == shape:
        return
    if not broadcast:
        raise AttributeValueError("C's shape", c_shape, f"{shape}, without broadcast=1")
    sizes = zip(reversed(c_shape), reversed(shape), strict=False)
    if len(c_shape) > 2 or any(size not in (1, whole) for size, whole in sizes):
        raise AttributeValueError("C's shape", c_shape, f"one that broadcasts to {shape}")


@hookimpl
def cml_op():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(2, 3)).astype(np.float32)
    b = rng.normal(size=(3, 4)).astype(np.float32)
    c = rng.normal(size=(2, 4)).astype(np.float32)
    return OpPlugin(
        schema=OpSchema("Gemm", since_versions=(6,), kind=OpKind.LINEAR),
        numpy_op=gemm_6,
        quantized_op=quantized_gemm_6,
        examples=(
            OpExample((a, b, c), outputs=(a @ b + c,), lookups=0, name="A B + C"),
            OpExample(
                (a.T, b.T, c[0]),
                {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0, "broadcast": 1},
                (np.float32(0.5) * (a @ b) + np.float32(2.0) * c[0],),
                lookups=0,
                name="broadcast",
            ),
            OpExample(
                (a[:, :2], b[:2, :2], c[0, :2]),
                {"broadcast": 1},
                (a[:, :2] @ b[:2, :2] + c[0, :2],),
                encrypted=(0, 1, 2),
                n_bits=3,
                tolerance=0.15,
                lookups=16,
                name="all encrypted",
            ),
        ),
    )
