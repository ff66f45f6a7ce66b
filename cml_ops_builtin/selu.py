"""Selu: gamma * x where x is positive, gamma * alpha * (exp(x) - 1) elsewhere."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    ElementwiseQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.precision import widened


def selu(x, *, alpha, gamma):
    wide = widened(x)
    below = alpha * np.expm1(np.minimum(wide, 0.0))
    return ((gamma * np.where(wide > 0, wide, below)).astype(x.dtype, copy=False),)


@hookimpl
def cml_op():
    x = np.array([[-2.0, -0.5, 0.0, 1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Selu", since_versions=(6, 22), kind=OpKind.ELEMENTWISE),
        numpy_op=selu,
        quantized_op=ElementwiseQuantizedOp(selu),
        examples=(
            OpExample((x,), tolerance=0.05),
            OpExample(
                (x,), {"alpha": 2.0, "gamma": 3.0}, tolerance=0.05, name="other alpha and gamma"
            ),
        ),
    )
