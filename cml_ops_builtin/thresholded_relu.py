"""ThresholdedRelu: x where it is above alpha, 0 elsewhere."""

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


def thresholded_relu(x, *, alpha):
    return (np.where(widened(x) > alpha, x, np.zeros((), dtype=x.dtype)),)


@hookimpl
def cml_op():
    x = np.array([[-2.0, -0.5, 0.0, 1.5]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("ThresholdedRelu", since_versions=(10, 22), kind=OpKind.ELEMENTWISE),
        numpy_op=thresholded_relu,
        quantized_op=ElementwiseQuantizedOp(thresholded_relu),
        examples=(
            OpExample((x,)),
            OpExample((x,), {"alpha": -1.0}, name="negative threshold"),
        ),
    )
