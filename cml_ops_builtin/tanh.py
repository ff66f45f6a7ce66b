"""Tanh: the hyperbolic tangent."""

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


def tanh(x):
    return (np.tanh(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Tanh", since_versions=(6, 13), kind=OpKind.ELEMENTWISE),
        numpy_op=tanh,
        quantized_op=ElementwiseQuantizedOp(tanh),
        examples=(OpExample((np.array([[-2.0, -0.5, 0.0, 1.0]], dtype=np.float32),)),),
    )
