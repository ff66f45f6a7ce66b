"""Relu: the positive part, max(x, 0)."""

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


def relu(x):
    return (np.maximum(x, np.zeros((), dtype=x.dtype)),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Relu", since_versions=(6, 13, 14), kind=OpKind.ELEMENTWISE),
        numpy_op=relu,
        quantized_op=ElementwiseQuantizedOp(relu),
        examples=(
            OpExample(
                inputs=(np.array([[-1.5, -0.25, 0.0, 2.0]], dtype=np.float32),),
                outputs=(np.array([[0.0, 0.0, 0.0, 2.0]], dtype=np.float32),),
                lookups=4,
                max_bits=4,
            ),
        ),
    )
