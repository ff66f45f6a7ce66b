"""HardSwish: x * max(0, min(1, x / 6 + 1 / 2))."""

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


def hard_swish(x):
    wide = widened(x)
    gate = np.minimum(np.maximum(wide / 6.0 + 0.5, 0.0), 1.0)
    return ((wide * gate).astype(x.dtype, copy=False),)


@hookimpl
def cml_op():
    x = np.array([[-4.0, -1.5, 0.0, 1.0, 3.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("HardSwish", since_versions=(14, 22), kind=OpKind.ELEMENTWISE),
        numpy_op=hard_swish,
        quantized_op=ElementwiseQuantizedOp(hard_swish),
        examples=(OpExample((x,), tolerance=0.01),),
    )
