"""Celu: max(0, x) + min(0, alpha * (exp(x / alpha) - 1)), an Elu with a smooth derivative."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    ElementwiseQuantizedOp,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.precision import widened


def celu(x, *, alpha):
    if alpha == 0.0:
        raise AttributeValueError("alpha", alpha, "a number other than 0, as x is divided by it")
    wide = widened(x)
    below = np.minimum(alpha * np.expm1(wide / alpha), 0.0)
    return ((np.maximum(wide, 0.0) + below).astype(x.dtype, copy=False),)


@hookimpl
def cml_op():
    x = np.array([[-2.0, -0.5, 0.0, 1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Celu", since_versions=(12, 28), kind=OpKind.ELEMENTWISE),
        numpy_op=celu,
        quantized_op=ElementwiseQuantizedOp(celu),
        examples=(
            OpExample((x,)),
            OpExample((x,), {"alpha": 2.0}, name="other alpha"),
            OpExample((x,), opset=12, name="first revision"),
        ),
    )
