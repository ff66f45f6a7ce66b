"""Mish: x * tanh(softplus(x))."""

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
from cml_ops_builtin._shared.sigmoid import softplus


def mish(x):
    wide = widened(x)
    return ((wide * np.tanh(softplus(wide))).astype(x.dtype, copy=False),)


@hookimpl
def cml_op():
    x = np.array([[-2.0, -0.5, 0.0, 1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Mish", since_versions=(18, 22), kind=OpKind.ELEMENTWISE),
        numpy_op=mish,
        quantized_op=ElementwiseQuantizedOp(mish),
        examples=(
            OpExample((x,)),
            OpExample((1000.0 * x,), name="far out"),
        ),
    )
