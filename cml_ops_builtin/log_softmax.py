"""LogSoftmax along an axis: x - log(sum(exp(x))).

Left to the client where nothing encrypted follows. Under encryption each element costs one
lookup for its exponential, each row one for the logarithm of the sum, which is subtracted
without another. Rows of very different sizes cost up to two lookups more for each element.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.positions import one_axis
from cml_ops_builtin._shared.softmaxes import (
    QuantizedAlong,
    encrypted_log_softmax,
    log_softmax_along,
)


def log_softmax(x, *, axis):
    return log_softmax_along(x, axis=one_axis(axis, x.ndim))


@hookimpl
def cml_op():
    x = np.array([[[1.0, 2.0], [2.0, -1.0], [0.0, 1.5]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("LogSoftmax", since_versions=(13,)),
        numpy_op=log_softmax,
        quantized_op=QuantizedAlong(encrypted_log_softmax),
        tail=True,
        examples=(
            OpExample((x,), tolerance=0.04, name="last axis"),
            OpExample((x[:1, :2],), n_bits=2, tolerance=0.15, name="two"),
            OpExample((x,), {"axis": 1}, tolerance=0.04, name="another axis"),
        ),
    )
