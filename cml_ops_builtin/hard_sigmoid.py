"""HardSigmoid: alpha * x + beta, kept within [0, 1]."""

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


def hard_sigmoid(x, *, alpha, beta):
    line = alpha * widened(x) + beta
    return (np.minimum(np.maximum(line, 0.0), 1.0).astype(x.dtype, copy=False),)


@hookimpl
def cml_op():
    x = np.array([[-2.0, -0.5, 0.0, 1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("HardSigmoid", since_versions=(6, 22), kind=OpKind.ELEMENTWISE),
        numpy_op=hard_sigmoid,
        quantized_op=ElementwiseQuantizedOp(hard_sigmoid),
        examples=(
            OpExample((x,), tolerance=0.05),
            OpExample((x,), {"alpha": 0.5, "beta": 0.25}, name="other line"),
        ),
    )
