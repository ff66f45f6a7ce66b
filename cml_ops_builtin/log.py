"""Log: the natural logarithm; minus infinity at 0 and NaN below."""

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


def log(x):
    return (np.log(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Log", since_versions=(6, 13), kind=OpKind.ELEMENTWISE),
        numpy_op=log,
        quantized_op=ElementwiseQuantizedOp(log),
        examples=(
            OpExample((np.array([[0.5, 1.0, 2.0, 4.0]], dtype=np.float32),), tolerance=0.05),
        ),
    )
