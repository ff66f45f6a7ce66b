"""LogSoftmax along an axis: x - log(sum(exp(x))).

Computed by the client after decryption.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.softmaxes import log_softmax_along

log_softmax = log_softmax_along


@hookimpl
def cml_op():
    x = np.array([[[1.0, 2.0], [3.0, -1.0], [0.0, 5.0]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("LogSoftmax", since_versions=(13,)),
        numpy_op=log_softmax,
        tail=True,
        examples=(
            OpExample((x,), name="last axis"),
            OpExample((x,), {"axis": 1}, name="another axis"),
        ),
        restrictions="only as the client's tail, after the last encrypted operation",
    )
