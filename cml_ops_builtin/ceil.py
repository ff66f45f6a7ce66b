"""Ceil: the smallest integer that is not below x."""

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


def ceil(x):
    return (np.ceil(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Ceil", since_versions=(6, 13), kind=OpKind.ELEMENTWISE),
        numpy_op=ceil,
        quantized_op=ElementwiseQuantizedOp(ceil),
        examples=(
            OpExample(
                (np.array([[-1.5, -0.5, 0.0, 0.5, 2.25]], dtype=np.float32),), tolerance=0.01
            ),
        ),
    )
