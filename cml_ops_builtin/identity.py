"""Identity: the input itself."""

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


def identity(x):
    return (x,)


@hookimpl
def cml_op():
    x = np.array([[-2.0, -0.5, 0.0, 1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema(
            "Identity",
            since_versions=(1, 13, 14, 16, 19, 21, 23, 24, 25),
            kind=OpKind.ELEMENTWISE,
        ),
        numpy_op=identity,
        quantized_op=ElementwiseQuantizedOp(identity),
        examples=(
            OpExample((x,), tolerance=0.05),
            OpExample((np.array([[-7, -1, 0, 5]]),), tolerance=0.01, name="integers"),
        ),
    )
