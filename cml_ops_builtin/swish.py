"""Swish: x * sigmoid(alpha * x)."""

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
from cml_ops_builtin._shared.sigmoid import sigmoid


def swish(x, *, alpha):
    wide = widened(x)
    return ((wide * sigmoid(alpha * wide)).astype(x.dtype, copy=False),)


@hookimpl
def cml_op():
    x = np.array([[-2.0, -0.5, 0.0, 1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Swish", since_versions=(24,), kind=OpKind.ELEMENTWISE),
        numpy_op=swish,
        quantized_op=ElementwiseQuantizedOp(swish),
        examples=(
            OpExample((x,)),
            OpExample((x,), {"alpha": 2.0}, name="other alpha"),
        ),
    )
