"""Softsign: x / (1 + |x|)."""

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


def softsign(x):
    wide = widened(x)
    return ((wide / (1.0 + np.abs(wide))).astype(x.dtype, copy=False),)


@hookimpl
def cml_op():
    x = np.array([[-2.0, -0.5, 0.0, 1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Softsign", since_versions=(1, 22), kind=OpKind.ELEMENTWISE),
        numpy_op=softsign,
        quantized_op=ElementwiseQuantizedOp(softsign),
        examples=(OpExample((x,), tolerance=0.05),),
    )
