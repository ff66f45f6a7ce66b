"""Floor: the largest integer that is not above x."""

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


def floor(x):
    return (np.floor(x),)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("Floor", since_versions=(6, 13), kind=OpKind.ELEMENTWISE),
        numpy_op=floor,
        quantized_op=ElementwiseQuantizedOp(floor),
        examples=(
            OpExample(
                (np.array([[-1.5, -0.5, 0.0, 0.5, 2.25]], dtype=np.float32),), tolerance=0.01
            ),
        ),
    )
