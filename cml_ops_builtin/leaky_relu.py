"""LeakyRelu: x where it is positive, alpha * x elsewhere."""

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


def leaky_relu(x, *, alpha):
    wide = widened(x)
    return (np.where(wide < 0, alpha * wide, wide).astype(x.dtype, copy=False),)


@hookimpl
def cml_op():
    x = np.array([[-2.0, -0.5, 0.0, 1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("LeakyRelu", since_versions=(6, 16), kind=OpKind.ELEMENTWISE),
        numpy_op=leaky_relu,
        quantized_op=ElementwiseQuantizedOp(leaky_relu),
        examples=(
            OpExample((x,), name="default slope"),
            OpExample((x,), {"alpha": 0.25}, name="steeper slope"),
            OpExample((x,), {"alpha": -0.5}, name="negative slope"),
        ),
    )
