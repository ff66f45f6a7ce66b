"""Sign: -1, 0 or 1, as x is negative, zero or positive."""

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


def sign(x):
    return (np.sign(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Sign", since_versions=(9, 13), kind=OpKind.ELEMENTWISE),
        numpy_op=sign,
        quantized_op=ElementwiseQuantizedOp(sign),
        examples=(
            OpExample(
                (np.array([[-1.5, -0.5, 0.0, 0.5, 1.25]], dtype=np.float32),),
                tolerance=0.01,
                name="floats",
            ),
            OpExample(
                (np.array([[-7, -1, 0, 5]], dtype=np.int32),), tolerance=0.01, name="integers"
            ),
        ),
    )
