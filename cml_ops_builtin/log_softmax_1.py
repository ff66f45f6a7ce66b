"""LogSoftmax of the input seen as a matrix: x - log(sum(exp(x))).

Earlier revisions: all axes from `axis` on are one. Left to the client where nothing encrypted
follows; under encryption it costs what the newer revision costs.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.flattening import on_matrix
from cml_ops_builtin._shared.softmaxes import (
    QuantizedOnMatrix,
    encrypted_log_softmax,
    log_softmax_along,
)

log_softmax_1 = on_matrix(log_softmax_along)


@hookimpl
def cml_op():
    odds = np.array([[[1, 2], [3, 4], [5, 1]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("LogSoftmax", since_versions=(1, 11)),
        numpy_op=log_softmax_1,
        quantized_op=QuantizedOnMatrix(encrypted_log_softmax),
        tail=True,
        examples=(
            OpExample(
                (np.log(odds),),
                outputs=(np.log(odds / 16),),
                tolerance=0.05,
                name="all axes but the first",
            ),
            OpExample((np.log(odds),), {"axis": -1}, tolerance=0.03, name="last axis"),
            OpExample((np.log(odds[0, :1]),), n_bits=2, tolerance=0.15, name="two"),
            OpExample(
                (np.log(odds),),
                {"axis": 2},
                opset=7,
                tolerance=0.03,
                name="last axis, first revision",
            ),
        ),
    )
