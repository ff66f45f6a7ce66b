"""OneHot before opset 11: a new axis with one place for each class; negative indices name none."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.one_hot_encoding import OneHotQuantizedOp, encoded, matches


def one_hot_9(indices, depth, values, *, axis):
    return (encoded(indices, depth, values, axis, matches),)


@hookimpl
def cml_op():
    expected = np.array([[0, 1, 0], [0, 0, 0], [0, 0, 1]], dtype=np.float32)
    values = np.array([0.0, 1.0], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("OneHot", since_versions=(9,)),
        numpy_op=one_hot_9,
        quantized_op=OneHotQuantizedOp(matches),
        tail=True,
        examples=(OpExample((np.array([1, -1, 2]), np.int64(3), values), {}, (expected,)),),
        restrictions="depth and values must be clear",
    )
