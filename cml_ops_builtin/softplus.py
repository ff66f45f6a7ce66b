"""Softplus: log(1 + exp(x))."""

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
from cml_ops_builtin._shared.sigmoid import softplus as log1pexp


def softplus(x):
    return (log1pexp(widened(x)).astype(x.dtype, copy=False),)


@hookimpl
def cml_op():
    x = np.array([[-2.0, -0.5, 0.0, 1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Softplus", since_versions=(1, 22), kind=OpKind.ELEMENTWISE),
        numpy_op=softplus,
        quantized_op=ElementwiseQuantizedOp(softplus),
        examples=(
            OpExample((x,)),
            OpExample((1000.0 * x,), name="far out"),
        ),
    )
