"""Round: the nearest integer, of two equally near ones the even one."""

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


def round_(x):
    return (np.rint(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Round", since_versions=(11, 22), kind=OpKind.ELEMENTWISE),
        numpy_op=round_,
        quantized_op=ElementwiseQuantizedOp(round_),
        examples=(
            OpExample(
                (np.array([[-1.5, -0.5, 0.0, 0.5, 1.0, 2.25]], dtype=np.float32),), tolerance=0.01
            ),
        ),
    )
