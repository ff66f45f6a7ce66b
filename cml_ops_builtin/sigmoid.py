"""Sigmoid: the logistic function, 1 / (1 + exp(-x))."""

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
from cml_ops_builtin._shared.sigmoid import sigmoid as logistic


def sigmoid(x):
    return (logistic(widened(x)).astype(x.dtype, copy=False),)


@hookimpl
def cml_op():
    x = np.array([[-2.0, -0.5, 0.0, 1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Sigmoid", since_versions=(6, 13), kind=OpKind.ELEMENTWISE),
        numpy_op=sigmoid,
        quantized_op=ElementwiseQuantizedOp(sigmoid),
        examples=(
            OpExample((x,), tolerance=0.05),
            OpExample((1000.0 * x,), tolerance=0.01, lookups=4, max_bits=4, name="far out"),
        ),
    )
